/* SPDX-License-Identifier: Apache-2.0 */

/* What the files of the shim share among themselves. */

#ifndef included_maglev_h
#define included_maglev_h

#include <vlib/vlib.h>
#include <maglev_shim.h>

typedef struct
{
  /* The start-up stanza: C strings. */
  u8 *config_path;
  u8 *state_path;
  /* `probe-cpu`: a bitmap. */
  clib_bitmap_t *probe_cpus;

  vlib_log_class_t log_class;
  u32 process_node_index;

  /* Written by our threads, read by VPP's file poller. */
  int wake_fd;
  u32 wake_file_index;

  /* The process node has been at work; cleared at exit. */
  u8 is_running;
} maglev_main_t;

extern maglev_main_t maglev_main;

/* stays.c: clocks. */
typedef struct
{
  u64 n, own, in_lb, longest_own, longest_in_lb, longest;
} maglev_stays_of_kind_t;

typedef struct
{
  /* Within lb's handlers so far. */
  u64 in_lb;
  maglev_stays_of_kind_t kinds[MAGLEV_N_STAYS];
} maglev_stays_main_t;

extern maglev_stays_main_t maglev_stays_main;

/* One stay, from when VPP comes to us until it has the thread back. */
typedef struct
{
  u64 began, in_lb;
} maglev_stay_t;

static_always_inline maglev_stay_t
maglev_stay_begin (void)
{
  return (maglev_stay_t){ .began = clib_cpu_time_now (), .in_lb = maglev_stays_main.in_lb };
}

static_always_inline void
maglev_stay_end (maglev_stay_kind_t kind, maglev_stay_t stay)
{
  maglev_stays_of_kind_t *k = maglev_stays_main.kinds + kind;
  u64 all = clib_cpu_time_now () - stay.began;
  u64 in_lb = maglev_stays_main.in_lb - stay.in_lb;

  k->n++;
  k->own += all - in_lb;
  k->in_lb += in_lb;
  k->longest = clib_max (k->longest, all);
  k->longest_own = clib_max (k->longest_own, all - in_lb);
  k->longest_in_lb = clib_max (k->longest_in_lb, in_lb);
}

/* cli_session.c: who typed a command, and reads what it prints. */
typedef struct
{
  /* The command may be put to sleep. */
  u8 may_wait;
  /* It was typed in a session of VPP's CLI, of this number. */
  u8 is_client;
  u8 is_held;
  uword number;
} maglev_session_t;

typedef enum
{
  MAGLEV_READER_READY,
  /* VPP holds bytes that it has not taken. */
  MAGLEV_READER_BEHIND,
  MAGLEV_READER_GONE,
} maglev_reader_t;

maglev_session_t maglev_session_begin (vlib_main_t *vm);
void maglev_session_pause (vlib_main_t *vm, maglev_session_t *s, f64 seconds, maglev_stay_t *stay);
maglev_reader_t maglev_session_reader (maglev_session_t *s);
void maglev_session_end (maglev_session_t *s);

/* Is there so much room in VPP's main heap, in one piece, beside a reserve that stays VPP's own? A full heap ends VPP, so
   whatever of ours grows with what others do asks here first. The reserve is a sixteenth of the heap, 4 MiB at least. */
static inline int
maglev_heap_has_room (u64 bytes)
{
  uword reserve = clib_max (clib_mem_get_heap_size (clib_mem_get_heap ()) / 16, (uword) 4 << 20);
  void *p = clib_mem_alloc_or_null (bytes + reserve);

  if (p == 0)
    return 0;
  clib_mem_free (p);
  return 1;
}

/* cli.c: registers the commands that Rust names. */
clib_error_t *maglev_cli_init (vlib_main_t *vm);

/* api_events.c: tells subscribers what has happened, for as long as one turn may. Answers after how many seconds to come
   again: 0 at once, negative: when something has happened. */
f64 maglev_api_send_events (vlib_main_t *vm);
int maglev_stats_update (vlib_main_t *vm);

#endif /* included_maglev_h */
