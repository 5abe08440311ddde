/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The whole contract between the plugin's C (csrc/) and its Rust (src/plugin/, src/lb/vpp.rs).
 *
 *   maglev_shim_*  is written in C and called by Rust: what only VPP's headers can express.
 *   maglev_rs_*    is written in Rust and called by C: each catches its own panics and never blocks.
 *
 * Rules that hold for all of it
 *   - Everything runs on VPP's main thread.
 *   - No maglev_rs_* function suspends; C alone waits.
 *   - Text crosses as pointer and length, without a final NUL unless said otherwise, and belongs to whoever made it
 *     for as long as the call lasts.
 *   - Numbers are in the machine's byte order, addresses in the network's.
 *   - No type of VPP's appears here.
 */

#ifndef included_maglev_shim_h
#define included_maglev_shim_h

#include <stdint.h>

/* ---- the plugin's registration ------------------------------------------------------------------------------ */

/* build.rs takes it from the installed VPP's vppinfra/config.h. */
#ifndef MAGLEV_CACHE_LINE_BYTES
#define MAGLEV_CACHE_LINE_BYTES 64
#endif

/* VPP's vlib_plugin_registration_t, byte for byte (csrc/init.c asserts it). The object is defined in Rust: rustc
   hides the C symbols of a cdylib, and VPP finds this one by name. */
typedef struct
{
  uint8_t flags; /* bit 0: disabled by default, bit 1: deep bind */
  char version[64];
  char version_required[64];
  char overrides[256];
  const char *early_init;
  const char *description;
  char *load_after;
} __attribute__ ((aligned (MAGLEV_CACHE_LINE_BYTES))) maglev_plugin_registration_t;

/* ---- start, turn, stop -------------------------------------------------------------------------------------- */

typedef enum
{
  MAGLEV_LOG_DEBUG = 0,
  MAGLEV_LOG_INFO = 1,
  MAGLEV_LOG_NOTICE = 2,
  MAGLEV_LOG_WARNING = 3,
  MAGLEV_LOG_ERROR = 4,
} maglev_log_level_t;

/* What the start-up stanza and VPP's threads say. Paths end in NUL. */
typedef struct
{
  const char *config_path;
  const char *state_path;
  /* `probe-cpu`; none: n_probe_cpus is 0. */
  const uint32_t *probe_cpus;
  uint32_t n_probe_cpus;
  /* VPP's own threads: the workers' CPUs, and main's. */
  const uint32_t *worker_cpus;
  uint32_t n_worker_cpus;
  uint32_t main_cpu;
  /* An eventfd, non-blocking; Rust keeps a duplicate and writes to it when a turn is due. */
  int32_t wake_fd;
  /* The version string of the VPP that runs; ends in NUL. */
  const char *running_in;
} maglev_start_t;

typedef struct
{
  /* Seconds until the next turn is due at the latest; negative: only when woken. */
  double next;
  /* Not 0: there is more to do; take another turn as soon as the workers have run. */
  uint8_t busy;
} maglev_turn_t;

/* Once, before anything else but the registration, on the thread that is main from then on. */
void maglev_rs_init (void);

/* Once, at the process node's first run. 0: running. Not 0: it is not, and the reason has been logged. */
int32_t maglev_rs_start (const maglev_start_t *start);

/* One turn of the engine. */
void maglev_rs_turn (maglev_turn_t *turn);

/* At VPP's exit; harmless when never started. Joins all threads. */
void maglev_rs_stop (void);

/* Between the two no signal that VPP handles is delivered to the main thread: VPP's handlers log, allocate and exit, and would
   wait forever for a lock that the interrupted code holds. They nest; never suspend in between. */
void maglev_shim_signals_hold (void);
void maglev_shim_signals_release (void);

/* One line into VPP's log, class `maglev`. */
void maglev_shim_log (maglev_log_level_t level, const char *text, uint64_t length);

/* ---- commands ----------------------------------------------------------------------------------------------- */

typedef enum
{
  MAGLEV_REPLY_DONE = 0,
  MAGLEV_REPLY_ERROR = 1, /* text begins with `error: ` */
  MAGLEV_REPLY_PENDING = 2, /* ask maglev_rs_cli_poll; text is what to say to one who cannot wait */
} maglev_reply_kind_t;

/* Made by Rust, given back with maglev_rs_reply_free. */
typedef struct
{
  maglev_reply_kind_t kind;
  /* Of a pending answer. */
  uint64_t ticket;
  char *text;
  uint64_t length;
} maglev_reply_t;

/* The i-th command for VPP's CLI, counted from 0: the fixed words that it begins with, and its help, both ending in NUL
   and living as long as the process. 0: there are no more. Every beginning of a path, but for VPP's own `show`, is a
   path too, so that whatever is typed behind `maglev` gets its answer from us. */
int32_t maglev_rs_cli_path (uint32_t index, const char **path, const char **help);

/* Runs one command: its path, a blank, and the rest of the line. `may_wait`: who typed it can be put to sleep; if not, what
   it must not come between is done first, however long that takes. */
void maglev_rs_cli (const char *line, uint64_t length, uint8_t may_wait, maglev_reply_t *reply);

/* Asks again for a pending answer. */
void maglev_rs_cli_poll (uint64_t ticket, maglev_reply_t *reply);

/* Nobody waits for that answer any more. `reply`, unless it is 0, gets what is to be said instead. */
void maglev_rs_cli_abandon (uint64_t ticket, maglev_reply_t *reply);

void maglev_rs_reply_free (maglev_reply_t *reply);

/* ---- how long we stay ------------------------------------------------------------------------------------------ */

typedef enum
{
  MAGLEV_STAY_TURN = 0,	   /* the process node, from one wait to the next */
  MAGLEV_STAY_COMMAND = 1, /* a command typed in vppctl, the same */
  MAGLEV_STAY_DUMP = 2,	   /* the handler of a list (maglev_…_get) of the binary API */
  MAGLEV_N_STAYS = 3,
} maglev_stay_kind_t;

/* Stays of one kind on the main thread, since VPP began or they were last cleared: how many, how long in all, and the longest.
   `lb` is what lb's own handlers took of them, `own` is all the rest. */
typedef struct
{
  uint64_t n;
  double own_us, lb_us;
  double longest_own_us, longest_lb_us, longest_us;
} maglev_stays_t;

void maglev_shim_stays (maglev_stay_kind_t kind, uint8_t clear, maglev_stays_t *out);

/* ---- lb ----------------------------------------------------------------------------------------------------- */

typedef struct
{
  uint8_t is_ip6;
  uint8_t bytes[16]; /* IPv4 in the first four */
} maglev_address_t;

/* What names a VIP. */
typedef struct
{
  maglev_address_t address;
  uint8_t prefix_len;
  uint8_t protocol; /* IANA's number; 255 with port 0: all ports */
  uint16_t port;
} maglev_vip_t;

typedef enum
{
  MAGLEV_ENCAP_GRE4 = 0,
  MAGLEV_ENCAP_GRE6 = 1,
  MAGLEV_ENCAP_L3DSR = 2,
  MAGLEV_ENCAP_NAT4 = 3,
  MAGLEV_ENCAP_NAT6 = 4,
  MAGLEV_ENCAP_OTHER = 255,
} maglev_encap_t;

typedef struct
{
  maglev_encap_t encap;
  uint8_t dscp;
  uint8_t src_ip_sticky;
  uint16_t target_port; /* of the two NATs */
  uint32_t table_length; /* never 0: it kills VPP */
} maglev_vip_args_t;

typedef struct
{
  uint8_t ip4_src[4];
  uint8_t ip6_src[16];
  uint32_t sticky_buckets_per_core;
  uint32_t flow_timeout; /* seconds */
} maglev_lb_settings_t;

/* As lb tells it, but for the byte order. */
typedef struct
{
  maglev_vip_t vip;
  maglev_encap_t encap;
  uint8_t dscp;
  uint16_t target_port;	 /* in network byte order, unlike the rest: so lb tells it */
  uint16_t table_length; /* 0 where it is 65536 */
} maglev_vip_record_t;

typedef struct
{
  maglev_vip_t vip;
  maglev_address_t address;
  uint8_t flags; /* bit 0: in use */
  uint8_t weight;
  uint32_t buckets;
} maglev_as_record_t;

/* VPP's error numbers that lb answers with (csrc/lb.c asserts them), and those of our own (csrc/api.c does). */
typedef enum
{
  MAGLEV_UNSPECIFIED = -1,
  MAGLEV_NO_SUCH_ENTRY = -6,
  MAGLEV_INVALID_VALUE = -7,
  MAGLEV_FEATURE_DISABLED = -30,
  MAGLEV_INVALID_MEMORY_SIZE = -70,
  MAGLEV_INVALID_ARGUMENT = -73,
  MAGLEV_RESPONSE_NOT_READY = -77,
  MAGLEV_VALUE_EXIST = -81,
  MAGLEV_INVALID_ADDRESS_FAMILY = -97,
  MAGLEV_INIT_FAILED = -144,
  MAGLEV_LIMIT_EXCEEDED = -162,
  MAGLEV_EAGAIN = -165,
  MAGLEV_BUSY = -167,
  MAGLEV_BUG = -168,
} maglev_api_error_t;

typedef enum
{
  MAGLEV_LB_OK = 0, /* lb answered; its own verdict is in *retval */
  MAGLEV_LB_NO_REPLY = 1,
  MAGLEV_LB_BAD_REPLY = 2,
  MAGLEV_LB_UNAVAILABLE = 3, /* maglev_shim_lb_open did not succeed */
} maglev_lb_status_t;

/* Looks up lb's messages and makes the internal client, once; 0: lb can be driven. */
int32_t maglev_shim_lb_open (void);

/* Is there a plugin lb_plugin.so in this VPP? */
uint8_t maglev_shim_lb_loaded (void);
/* Threads of VPP, main's included: lb has a flow table for each, and a flush walks them all. */
uint32_t maglev_shim_threads (void);

/* The i-th message of lb that is needed, counted from 0: `name_crc`, ending in NUL, living as long as the process, and
   whether this VPP has it. 0: there are no more. */
int32_t maglev_shim_lb_message (uint32_t index, const char **name_crc, uint8_t *present);

/* Each is one call of one of lb's message handlers, with its answer. */
maglev_lb_status_t maglev_shim_lb_settings (maglev_lb_settings_t *out, int32_t *retval);
maglev_lb_status_t maglev_shim_lb_set_settings (const maglev_lb_settings_t *settings, int32_t *retval);
maglev_lb_status_t maglev_shim_lb_add_vip (const maglev_vip_t *vip, const maglev_vip_args_t *args, int32_t *retval);
maglev_lb_status_t maglev_shim_lb_del_vip (const maglev_vip_t *vip, int32_t *retval);
maglev_lb_status_t maglev_shim_lb_add_as (const maglev_vip_t *vip, const maglev_address_t *address, uint8_t weight,
					  uint8_t flush, int32_t *retval);
maglev_lb_status_t maglev_shim_lb_del_as (const maglev_vip_t *vip, const maglev_address_t *address, uint8_t flush,
					  int32_t *retval);
maglev_lb_status_t maglev_shim_lb_set_weight (const maglev_vip_t *vip, const maglev_address_t *address, uint8_t weight,
					      uint8_t flush, int32_t *retval);
maglev_lb_status_t maglev_shim_lb_flush_vip (const maglev_vip_t *vip, int32_t *retval);

/* lb's own command for many servers of one VIP, which rebuilds its table once: with a weight of 0 to 100 they are added, and
   with a negative one deleted. Unavailable: it was not sent. `retval` is not 0 where it was refused. Only from a process of
   VPP's, as all of Rust is called. */
maglev_lb_status_t maglev_shim_lb_servers (const maglev_vip_t *vip, const maglev_address_t *servers, uint32_t n, int32_t weight,
					   uint8_t flush, int32_t *retval);

/* A dump leaves its records in a queue, from which the two `next` take one each: 1 a record, 0 no more, -1 one that
   could not be read. What is left in the queue is dropped at the next call of lb. */
maglev_lb_status_t maglev_shim_lb_dump_vips (void);
int32_t maglev_shim_lb_next_vip (maglev_vip_record_t *out);
/* The servers of one VIP. Its prefix length does not take part in the choice: lb ignores it. */
maglev_lb_status_t maglev_shim_lb_dump_as (const maglev_vip_t *vip);
int32_t maglev_shim_lb_next_as (maglev_as_record_t *out);

/* The text of `show lb vips verbose`, which lb makes under the worker barrier; whatever the status, it is given back with
   maglev_shim_lb_text_free. Only from a process of VPP's, as all of Rust is called. */
maglev_lb_status_t maglev_shim_lb_vips_text (char **text, uint64_t *length);
void maglev_shim_lb_text_free (char *text);

/* VPP's main heap, from which lb takes its tables. */
typedef struct
{
  uint64_t size;
  uint64_t free;
  /* Of that, the free block at the end; what is free elsewhere may be in small pieces. */
  uint64_t top;
  /* The numbers are those that VPP counted last, and this is how often it has; 0: they are of now. */
  uint64_t counted;
} maglev_heap_t;

void maglev_shim_heap (maglev_heap_t *out);
/* Whether one block of that size can be had now; it is given back at once. */
uint8_t maglev_shim_heap_has (uint64_t bytes);

/* Where a packet to an address goes by FIB 0, if it does not leave VPP. */
typedef enum
{
  MAGLEV_REACH_AWAY = 0,
  MAGLEV_REACH_LOCAL = 1, /* an address of VPP itself */
  MAGLEV_REACH_VIP = 2,   /* a VIP of lb, or a route by way of one */
} maglev_reach_t;

maglev_reach_t maglev_shim_reach (const maglev_address_t *address);

/* The index of a VIP in lb's own table: one that is deleted and made again gets another while the old one lingers. 0: it cannot
   be told. */
uint8_t maglev_shim_lb_vip_index (const maglev_vip_t *vip, uint32_t *index);

/* Holds the workers at the barrier; nests. Never suspend in between. */
void maglev_shim_barrier_sync (void);
void maglev_shim_barrier_release (void);

/* ---- the binary API ----------------------------------------------------------------------------------------- */

/* csrc/api.c encodes and decodes the messages of vpp-plugin/maglev.api; enumerations cross as that file numbers them. */

/* A field for a name of at most 63 bytes, and one for a word of at most 15, filled up with NULs. */
#define MAGLEV_NAME_SIZE 64
#define MAGLEV_WORD_SIZE 16
/* Fields for texts, which are cut where they are longer. */
#define MAGLEV_WORDS_SIZE  128
#define MAGLEV_DETAIL_SIZE 256

/* Made by Rust; lives until the next call of a maglev_rs_api_*. */
typedef struct
{
  const char *data;
  uint64_t length;
} maglev_text_t;

/* From C, for as long as the call lasts. A name that has no end within its field has MAGLEV_NAME_SIZE bytes. */
typedef struct
{
  const char *data;
  uint64_t length;
} maglev_name_t;

typedef struct
{
  uint8_t state;
  uint8_t lb_available;
  uint8_t prober_running;
  uint64_t uptime_ms;
  uint64_t config_loaded_ms;
  uint32_t config_errors;
  uint32_t backends;
  uint32_t backends_up;
  uint32_t frontends;
  uint32_t frontends_up;
  uint32_t in_flight;
  uint64_t probes;
  uint64_t late;
  uint64_t syncs;
  uint64_t calls;
  uint64_t failures;
  uint32_t generation;
  uint32_t problems;
  uint8_t version[MAGLEV_NAME_SIZE];
  uint8_t built_for[MAGLEV_NAME_SIZE];
  maglev_text_t reason;
} maglev_api_status_t;

typedef struct
{
  uint8_t name[MAGLEV_NAME_SIZE];
  maglev_address_t address;
  uint8_t healthcheck[MAGLEV_NAME_SIZE];
  uint8_t state;
  uint8_t display[MAGLEV_NAME_SIZE];
  uint32_t counter;
  uint32_t counter_max;
  uint32_t rise;
  uint32_t fall;
  uint64_t since_ms;
  uint64_t last_probe_ms;
  uint64_t last_latency_us;
  uint64_t passes;
  uint64_t failures;
  uint64_t faults;
  uint8_t last_code[MAGLEV_WORD_SIZE];
  uint8_t last_detail[MAGLEV_WORDS_SIZE];
  uint8_t tracks[MAGLEV_NAME_SIZE];
  uint8_t agent_track[MAGLEV_NAME_SIZE];
  uint8_t has_agent;
  uint8_t agent_muted;
  uint8_t has_agent_weight;
  uint8_t agent_weight_is_share;
  uint32_t agent_weight;
  uint8_t waits_for[MAGLEV_WORDS_SIZE];
  maglev_text_t reason;
} maglev_api_backend_t;

typedef struct
{
  uint8_t name[MAGLEV_NAME_SIZE];
  uint8_t description[MAGLEV_WORDS_SIZE];
  maglev_address_t address;
  uint8_t all_ports;
  uint8_t protocol; /* IANA's number; 255: all ports */
  uint16_t port;
  uint8_t state;
  uint8_t pool[MAGLEV_NAME_SIZE];
  uint32_t serving;
  uint32_t total;
  uint8_t encap;
  uint32_t table_length;
  uint8_t src_ip_sticky;
  uint8_t flush_on_down;
  uint64_t slow_start_ms;
  uint8_t panic_mode;
  uint8_t panic_threshold;
  uint8_t in_panic;
  uint32_t panic_up;
  uint32_t panic_of;
  uint8_t programmed;
  uint32_t leaving;
  maglev_text_t error;
} maglev_api_frontend_t;

typedef struct
{
  uint8_t frontend[MAGLEV_NAME_SIZE];
  uint8_t pool[MAGLEV_NAME_SIZE];
  uint8_t backend[MAGLEV_NAME_SIZE];
  maglev_address_t address;
  uint8_t pool_active;
  uint8_t state;
  uint8_t weight;
  uint8_t configured;
  uint8_t overridden;
  uint8_t with_agent;
  uint8_t effective;
  uint8_t why[MAGLEV_NAME_SIZE];
} maglev_api_member_t;

typedef struct
{
  uint8_t name[MAGLEV_NAME_SIZE];
  uint8_t type;
  uint16_t port;
  uint64_t interval_ms;
  uint64_t fast_interval_ms;
  uint64_t down_interval_ms;
  uint64_t timeout_ms;
  uint32_t rise;
  uint32_t fall;
  uint8_t counter;
  double jitter_percent;
  uint8_t has_source_ip4;
  uint8_t has_source_ip6;
  uint8_t source_ip4[4];
  uint8_t source_ip6[16];
  uint64_t silent_bound_ms;
  uint64_t refused_bound_ms;
  uint32_t backends;
  maglev_text_t parameters;
} maglev_api_healthcheck_t;

/* What a verb is answered. */
typedef struct
{
  int32_t retval;
  uint8_t changed;
  uint64_t ticket; /* of the event to come; 0: there will be none */
  maglev_text_t text;
} maglev_api_answer_t;

typedef struct
{
  uint64_t position; /* among all that subscribers are told */
  uint64_t sequence;
  uint64_t time_ms;
  uint8_t kind;
  uint8_t level;
  uint64_t ticket;
  int32_t retval;
  uint8_t name[MAGLEV_NAME_SIZE];
  uint8_t backend_from;
  uint8_t backend_to;
  uint8_t first_seen;
  uint8_t frontend_from;
  uint8_t frontend_to;
  uint8_t pool_from[MAGLEV_NAME_SIZE];
  uint8_t pool_to[MAGLEV_NAME_SIZE];
  uint8_t code[MAGLEV_WORD_SIZE];
  uint8_t failed;
  uint8_t begins;
  uint8_t panic_mode;
  uint32_t up;
  uint32_t of;
  uint64_t count;
  uint8_t verdict;
  uint64_t latency_us;
  uint8_t detail[MAGLEV_DETAIL_SIZE];
  maglev_text_t text;
} maglev_api_event_t;

void maglev_rs_api_status (maglev_api_status_t *out);

typedef enum
{
  MAGLEV_ROWS_BACKENDS = 0,
  MAGLEV_ROWS_FRONTENDS = 1,
  MAGLEV_ROWS_MEMBERS = 2,
  MAGLEV_ROWS_HEALTHCHECKS = 3,
} maglev_rows_t;

/* Begins to read a table where the cursor says, or goes on; `only` names a row (of members: a frontend), or is empty for all.
   Answers what the reply's retval is to be: if it is not 0, there are no rows. Then the table's `next` gives one row after the
   other: 1 one, 0 no more. At whatever row the caller stops, the cursor to go on with is that of maglev_rs_api_cursor: ~0 once a
   `next` has answered 0. */
int32_t maglev_rs_api_rows (maglev_rows_t table, maglev_name_t only, uint64_t cursor);
int32_t maglev_rs_api_next_backend (maglev_api_backend_t *out);
int32_t maglev_rs_api_next_frontend (maglev_api_frontend_t *out);
int32_t maglev_rs_api_next_member (maglev_api_member_t *out);
int32_t maglev_rs_api_next_healthcheck (maglev_api_healthcheck_t *out);
uint64_t maglev_rs_api_cursor (void);

void maglev_rs_api_set_backend (maglev_name_t backend, uint8_t verb, maglev_api_answer_t *out);
/* is_default not 0: back to the configured weight. */
void maglev_rs_api_set_weight (maglev_name_t frontend, maglev_name_t pool, maglev_name_t backend, uint8_t is_default,
			       uint8_t weight, uint8_t flush, maglev_api_answer_t *out);
void maglev_rs_api_flush_frontend (maglev_name_t frontend, maglev_api_answer_t *out);
void maglev_rs_api_probe (maglev_name_t backend, maglev_api_answer_t *out);
void maglev_rs_api_sync (maglev_name_t frontend, maglev_api_answer_t *out);
void maglev_rs_api_config_check (maglev_name_t path, maglev_api_answer_t *out);
void maglev_rs_api_config_reload (uint8_t force, maglev_api_answer_t *out);

/* Whether there are subscribers to events; without any none are kept. */
void maglev_rs_api_watch (uint8_t on);
/* Takes what has happened since the last time among what subscribers are told. Once a turn. Answers the position behind
   the newest of that in *end; 1: there is more to be taken. */
int32_t maglev_rs_api_gather (uint64_t *end);
/* The first event that is kept, from that position on: 1 one, 0 none. What lies between was thrown away: it is lost to
   whoever asks. */
int32_t maglev_rs_api_event (uint64_t position, maglev_api_event_t *out);

/* How the clients of the binary API do. */
typedef struct
{
  uint32_t subscribers;
  uint64_t events_lost;
  uint64_t replies_dropped;
  uint64_t unread_bytes;
} maglev_api_clients_t;

/* Tells that, whenever it has changed. */
void maglev_rs_api_clients (const maglev_api_clients_t *clients);

/* ---- the stats segment ---- */

#define MAGLEV_STATS_N_TABLES 4
#define MAGLEV_STATS_MAX_METRICS 16
/* Bytes before the elements of one of VPP's vectors; vectors begin at a multiple of the second. */
#define MAGLEV_STATS_VECTOR_HEADER 8
#define MAGLEV_STATS_VECTOR_ALIGN 64

/* The name of a table, and of one of its metrics: 1 there is such, 0 no more. The strings live as long as the process. */
int32_t maglev_rs_stats_metric (uint32_t table, uint32_t metric, const char **table_name, const char **metric_name);

typedef struct
{
  /* While it is the same, so are all names and their places. */
  uint64_t generation;
  uint32_t n_rows[MAGLEV_STATS_N_TABLES];
} maglev_stats_t;

/* The segment, in bytes: `statseg { size … }`, the largest piece that is free, and VPP's directory of entries. */
typedef struct
{
  uint64_t size;
  uint64_t largest;
  uint64_t directory;
} maglev_stats_room_t;

/* Offsets in the block: of the vector of names, of the names themselves (each behind a vector's header, with a NUL, rounded up
   to 8 bytes) and their end, and of each metric's vector. 0: not published. */
typedef struct
{
  uint64_t names_at;
  uint64_t strings_at;
  uint64_t strings_end;
  uint64_t metrics_at[MAGLEV_STATS_MAX_METRICS];
} maglev_stats_place_t;

typedef struct
{
  /* The size of the block that holds everything; 0: nothing is published. */
  uint64_t bytes;
  /* So much must be free in one piece once the block is allocated. */
  uint64_t reserve;
  /* Not 0: something is left out. */
  uint8_t is_short;
  maglev_stats_place_t places[MAGLEV_STATS_N_TABLES];
} maglev_stats_plan_t;

/* Takes a picture, from which the three below read: 1 taken, 0 there is nothing to be seen, 2 not yet: to be called again in the
   next turn. */
int32_t maglev_rs_stats_take (maglev_stats_t *out);
/* Plans what of the picture is published. 1: planned; a shortage is told as a problem. 0: there is nothing to be seen, or not
   everything fits and `beside` is not 0: the caller gives up the block that is published, measures and asks again. */
int32_t maglev_rs_stats_plan (const maglev_stats_room_t *room, uint8_t beside, maglev_stats_plan_t *out);
/* The name of a row, at most `size` bytes and no zero behind them; answers its length. */
uint32_t maglev_rs_stats_name (uint32_t table, uint32_t row, uint8_t *out, uint32_t size);
/* `n` numbers of one metric, from the row `first` on; 0 behind the last row. */
void maglev_rs_stats_fill (uint32_t table, uint32_t metric, uint32_t first, uint64_t *out, uint32_t n);

#endif /* included_maglev_shim_h */
