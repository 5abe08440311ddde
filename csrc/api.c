/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The binary API: the messages of vpp-plugin/maglev.api, between VPP's byte order and Rust's structs. Nothing is decided
 * here, and nothing waits. vppapigen has made the maglev.api_*.h and maglev.api.c (build.rs).
 */

#include <vnet/vnet.h>
#include <vnet/api_errno.h>
#include <vlibapi/api.h>
#include <vlibmemory/api.h>
#include <vnet/format_fns.h>
#include <maglev.api_enum.h>
#include <maglev.api_types.h>
#include "maglev.h"

/* What a subscriber has not read yet, in bytes; events are lost to it above that. */
#define MAGLEV_API_MOST_UNREAD (1 << 20)

#define _(e) STATIC_ASSERT (MAGLEV_##e == (int) VNET_API_ERROR_##e, "error number: " #e);
_ (UNSPECIFIED)
_ (NO_SUCH_ENTRY)
_ (INVALID_VALUE)
_ (FEATURE_DISABLED)
_ (RESPONSE_NOT_READY)
_ (INIT_FAILED)
_ (LIMIT_EXCEEDED)
_ (BUSY)
_ (BUG)
#undef _

typedef struct
{
  /* Handle and pid as the client sent them, in its byte order. */
  u32 client_index;
  u32 pid;
} maglev_subscriber_t;

typedef struct
{
  u16 msg_id_base;
  maglev_subscriber_t *subscribers;
} maglev_api_main_t;

static maglev_api_main_t maglev_api_main;

#define REPLY_MSG_ID_BASE maglev_api_main.msg_id_base
#include <vlibapi/api_helper_macros.h>

/* ---- conversions ---- */

static maglev_name_t
maglev_api_name (const u8 *field)
{
  /* A field without an end is longer than any name, and refused as such. */
  return (maglev_name_t){ .data = (const char *) field, .length = strnlen ((const char *) field, MAGLEV_NAME_SIZE) };
}

#define MAGLEV_FIELD(to, from)                                                                                         \
  do                                                                                                                   \
    {                                                                                                                  \
      STATIC_ASSERT (sizeof (to) == sizeof (from), "field: size");                                                     \
      clib_memcpy_fast (to, from, sizeof (to));                                                                        \
    }                                                                                                                  \
  while (0)

#define MAGLEV_NUMBER(to, from)                                                                                        \
  do                                                                                                                   \
    {                                                                                                                  \
      STATIC_ASSERT (sizeof (to) == sizeof (from), "number: size");                                                    \
      to = sizeof (to) == 8 ? clib_host_to_net_u64 (from) :                                                            \
	   sizeof (to) == 4 ? clib_host_to_net_u32 (from) :                                                            \
	   sizeof (to) == 2 ? clib_host_to_net_u16 (from) :                                                            \
			      (from);                                                                                  \
    }                                                                                                                  \
  while (0)

static void
maglev_api_address (vl_api_address_t *to, const maglev_address_t *from)
{
  to->af = from->is_ip6 ? ADDRESS_IP6 : ADDRESS_IP4;
  STATIC_ASSERT (sizeof (to->un) == sizeof (from->bytes), "address: size");
  clib_memcpy_fast (&to->un, from->bytes, sizeof (from->bytes));
}

static void
maglev_api_text (vl_api_string_t *to, const maglev_text_t *from)
{
  to->length = clib_host_to_net_u32 (from->length);
  if (from->length)
    clib_memcpy_fast (to->buf, from->data, from->length);
}

/* Room for a message with a text at its end; all zero. */
static void *
maglev_api_new (u32 id, uword size, const maglev_text_t *text)
{
  void *mp;

  size += text ? text->length : 0;
  mp = vl_msg_api_alloc_zero (size);
  *(u16 *) mp = clib_host_to_net_u16 (id + REPLY_MSG_ID_BASE);
  return mp;
}

/* ---- state ---- */

static void
vl_api_maglev_status_t_handler (vl_api_maglev_status_t *mp)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_maglev_status_reply_t *rmp;
  maglev_api_status_t s = {};

  if (!reg)
    return;
  maglev_rs_api_status (&s);
  rmp = maglev_api_new (VL_API_MAGLEV_STATUS_REPLY, sizeof (*rmp), &s.reason);
  rmp->context = mp->context;
  rmp->state = s.state;
  rmp->lb_available = s.lb_available;
  rmp->prober_running = s.prober_running;
  MAGLEV_NUMBER (rmp->uptime_ms, s.uptime_ms);
  MAGLEV_NUMBER (rmp->config_loaded, s.config_loaded_ms);
  MAGLEV_NUMBER (rmp->config_errors, s.config_errors);
  MAGLEV_NUMBER (rmp->backends, s.backends);
  MAGLEV_NUMBER (rmp->backends_up, s.backends_up);
  MAGLEV_NUMBER (rmp->frontends, s.frontends);
  MAGLEV_NUMBER (rmp->frontends_up, s.frontends_up);
  MAGLEV_NUMBER (rmp->probes_in_flight, s.in_flight);
  MAGLEV_NUMBER (rmp->probes, s.probes);
  MAGLEV_NUMBER (rmp->probes_late, s.late);
  MAGLEV_NUMBER (rmp->lb_syncs, s.syncs);
  MAGLEV_NUMBER (rmp->lb_calls, s.calls);
  MAGLEV_NUMBER (rmp->lb_failures, s.failures);
  MAGLEV_FIELD (rmp->version, s.version);
  MAGLEV_FIELD (rmp->built_for, s.built_for);
  maglev_api_text (&rmp->reason, &s.reason);
  vl_api_send_msg (reg, (u8 *) rmp);
}

static void
vl_api_maglev_backend_dump_t_handler (vl_api_maglev_backend_dump_t *mp)
{
  maglev_stay_t stay = maglev_stay_begin ();
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_maglev_backend_details_t *rmp;
  maglev_api_backend_t b;

  if (!reg)
    return;
  maglev_rs_api_dump_backends (maglev_api_name (mp->name));
  while (maglev_rs_api_next_backend (&b))
    {
      rmp = maglev_api_new (VL_API_MAGLEV_BACKEND_DETAILS, sizeof (*rmp), &b.last_detail);
      rmp->context = mp->context;
      MAGLEV_FIELD (rmp->name, b.name);
      maglev_api_address (&rmp->address, &b.address);
      MAGLEV_FIELD (rmp->healthcheck, b.healthcheck);
      rmp->state = b.state;
      MAGLEV_NUMBER (rmp->counter, b.counter);
      MAGLEV_NUMBER (rmp->counter_max, b.counter_max);
      MAGLEV_NUMBER (rmp->rise, b.rise);
      MAGLEV_NUMBER (rmp->fall, b.fall);
      MAGLEV_NUMBER (rmp->since, b.since_ms);
      MAGLEV_NUMBER (rmp->last_probe, b.last_probe_ms);
      MAGLEV_NUMBER (rmp->last_latency_us, b.last_latency_us);
      MAGLEV_NUMBER (rmp->passes, b.passes);
      MAGLEV_NUMBER (rmp->failures, b.failures);
      MAGLEV_NUMBER (rmp->faults, b.faults);
      MAGLEV_FIELD (rmp->last_code, b.last_code);
      maglev_api_text (&rmp->last_detail, &b.last_detail);
      vl_api_send_msg (reg, (u8 *) rmp);
    }
  maglev_stay_end (MAGLEV_STAY_DUMP, stay);
}

static void
vl_api_maglev_frontend_dump_t_handler (vl_api_maglev_frontend_dump_t *mp)
{
  maglev_stay_t stay = maglev_stay_begin ();
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_maglev_frontend_details_t *rmp;
  maglev_api_frontend_t f;

  if (!reg)
    return;
  maglev_rs_api_dump_frontends (maglev_api_name (mp->name));
  while (maglev_rs_api_next_frontend (&f))
    {
      rmp = maglev_api_new (VL_API_MAGLEV_FRONTEND_DETAILS, sizeof (*rmp), &f.error);
      rmp->context = mp->context;
      MAGLEV_FIELD (rmp->name, f.name);
      maglev_api_address (&rmp->address, &f.address);
      rmp->all_ports = f.all_ports;
      rmp->protocol = f.protocol;
      MAGLEV_NUMBER (rmp->port, f.port);
      rmp->state = f.state;
      MAGLEV_FIELD (rmp->pool, f.pool);
      MAGLEV_NUMBER (rmp->serving, f.serving);
      MAGLEV_NUMBER (rmp->total, f.total);
      MAGLEV_FIELD (rmp->encap, f.encap);
      MAGLEV_NUMBER (rmp->table_length, f.table_length);
      rmp->src_ip_sticky = f.src_ip_sticky;
      rmp->flush_on_down = f.flush_on_down;
      rmp->in_panic = f.in_panic;
      rmp->programmed = f.programmed;
      MAGLEV_NUMBER (rmp->leaving, f.leaving);
      maglev_api_text (&rmp->error, &f.error);
      vl_api_send_msg (reg, (u8 *) rmp);
    }
  maglev_stay_end (MAGLEV_STAY_DUMP, stay);
}

static void
vl_api_maglev_member_dump_t_handler (vl_api_maglev_member_dump_t *mp)
{
  maglev_stay_t stay = maglev_stay_begin ();
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_maglev_member_details_t *rmp;
  maglev_api_member_t m;

  if (!reg)
    return;
  maglev_rs_api_dump_members (maglev_api_name (mp->frontend));
  while (maglev_rs_api_next_member (&m))
    {
      rmp = maglev_api_new (VL_API_MAGLEV_MEMBER_DETAILS, sizeof (*rmp), 0);
      rmp->context = mp->context;
      MAGLEV_FIELD (rmp->frontend, m.frontend);
      MAGLEV_FIELD (rmp->pool, m.pool);
      MAGLEV_FIELD (rmp->backend, m.backend);
      rmp->pool_active = m.pool_active;
      rmp->state = m.state;
      rmp->weight = m.weight;
      rmp->overridden = m.overridden;
      rmp->effective = m.effective;
      vl_api_send_msg (reg, (u8 *) rmp);
    }
  maglev_stay_end (MAGLEV_STAY_DUMP, stay);
}

static void
vl_api_maglev_healthcheck_dump_t_handler (vl_api_maglev_healthcheck_dump_t *mp)
{
  maglev_stay_t stay = maglev_stay_begin ();
  vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);
  vl_api_maglev_healthcheck_details_t *rmp;
  maglev_api_healthcheck_t h;

  if (!reg)
    return;
  maglev_rs_api_dump_healthchecks (maglev_api_name (mp->name));
  while (maglev_rs_api_next_healthcheck (&h))
    {
      rmp = maglev_api_new (VL_API_MAGLEV_HEALTHCHECK_DETAILS, sizeof (*rmp), 0);
      rmp->context = mp->context;
      MAGLEV_FIELD (rmp->name, h.name);
      MAGLEV_FIELD (rmp->type, h.type);
      MAGLEV_NUMBER (rmp->port, h.port);
      MAGLEV_NUMBER (rmp->interval_ms, h.interval_ms);
      MAGLEV_NUMBER (rmp->fast_interval_ms, h.fast_interval_ms);
      MAGLEV_NUMBER (rmp->down_interval_ms, h.down_interval_ms);
      MAGLEV_NUMBER (rmp->timeout_ms, h.timeout_ms);
      MAGLEV_NUMBER (rmp->rise, h.rise);
      MAGLEV_NUMBER (rmp->fall, h.fall);
      rmp->jitter_percent = clib_host_to_net_f64 (h.jitter_percent);
      MAGLEV_NUMBER (rmp->silent_bound_ms, h.silent_bound_ms);
      MAGLEV_NUMBER (rmp->refused_bound_ms, h.refused_bound_ms);
      MAGLEV_NUMBER (rmp->backends, h.backends);
      MAGLEV_FIELD (rmp->counter, h.counter);
      vl_api_send_msg (reg, (u8 *) rmp);
    }
  maglev_stay_end (MAGLEV_STAY_DUMP, stay);
}

/* ---- verbs ---- */

/* The reply of a verb that is done, or not, by now. */
#define MAGLEV_REPLY(ID, a, body)                                                                                      \
  do                                                                                                                   \
    {                                                                                                                  \
      vl_api_registration_t *reg = vl_api_client_index_to_registration (mp->client_index);                             \
      if (!reg)                                                                                                        \
	return;                                                                                                        \
      rmp = maglev_api_new (ID, sizeof (*rmp), &(a).text);                                                             \
      rmp->context = mp->context;                                                                                      \
      MAGLEV_NUMBER (rmp->retval, (a).retval);                                                                         \
      body;                                                                                                            \
      maglev_api_text (&rmp->text, &(a).text);                                                                         \
      vl_api_send_msg (reg, (u8 *) rmp);                                                                               \
    }                                                                                                                  \
  while (0)

static void
vl_api_maglev_set_backend_t_handler (vl_api_maglev_set_backend_t *mp)
{
  vl_api_maglev_set_backend_reply_t *rmp;
  maglev_api_answer_t a = {};

  maglev_rs_api_set_backend (maglev_api_name (mp->backend), mp->verb, &a);
  MAGLEV_REPLY (VL_API_MAGLEV_SET_BACKEND_REPLY, a, rmp->changed = a.changed);
}

static void
vl_api_maglev_set_weight_t_handler (vl_api_maglev_set_weight_t *mp)
{
  vl_api_maglev_set_weight_reply_t *rmp;
  maglev_api_answer_t a = {};
  /* Any byte that is not 0 is true; as bool the compiler would take it for 0 or 1. */
  u8 is_default = *(u8 *) &mp->is_default, flush = *(u8 *) &mp->flush;

  maglev_rs_api_set_weight (maglev_api_name (mp->frontend), maglev_api_name (mp->pool), maglev_api_name (mp->backend),
			    is_default, mp->weight, flush, &a);
  MAGLEV_REPLY (VL_API_MAGLEV_SET_WEIGHT_REPLY, a, rmp->changed = a.changed);
}

static void
vl_api_maglev_flush_frontend_t_handler (vl_api_maglev_flush_frontend_t *mp)
{
  vl_api_maglev_flush_frontend_reply_t *rmp;
  maglev_api_answer_t a = {};

  maglev_rs_api_flush_frontend (maglev_api_name (mp->frontend), &a);
  MAGLEV_REPLY (VL_API_MAGLEV_FLUSH_FRONTEND_REPLY, a, );
}

static void
vl_api_maglev_probe_t_handler (vl_api_maglev_probe_t *mp)
{
  vl_api_maglev_probe_reply_t *rmp;
  maglev_api_answer_t a = {};

  maglev_rs_api_probe (maglev_api_name (mp->backend), &a);
  MAGLEV_REPLY (VL_API_MAGLEV_PROBE_REPLY, a, MAGLEV_NUMBER (rmp->ticket, a.ticket));
}

static void
vl_api_maglev_sync_t_handler (vl_api_maglev_sync_t *mp)
{
  vl_api_maglev_sync_reply_t *rmp;
  maglev_api_answer_t a = {};

  maglev_rs_api_sync (maglev_api_name (mp->frontend), &a);
  MAGLEV_REPLY (VL_API_MAGLEV_SYNC_REPLY, a, MAGLEV_NUMBER (rmp->ticket, a.ticket));
}

static void
vl_api_maglev_config_check_t_handler (vl_api_maglev_config_check_t *mp)
{
  vl_api_maglev_config_check_reply_t *rmp;
  maglev_api_answer_t a = {};
  /* VPP has seen to it that the message is as long as this says. */
  maglev_name_t path = { .data = (char *) mp->path.buf, .length = vl_api_string_len (&mp->path) };

  maglev_rs_api_config_check (path, &a);
  MAGLEV_REPLY (VL_API_MAGLEV_CONFIG_CHECK_REPLY, a, MAGLEV_NUMBER (rmp->ticket, a.ticket));
}

static void
vl_api_maglev_config_reload_t_handler (vl_api_maglev_config_reload_t *mp)
{
  vl_api_maglev_config_reload_reply_t *rmp;
  maglev_api_answer_t a = {};

  maglev_rs_api_config_reload (mp->force, &a);
  MAGLEV_REPLY (VL_API_MAGLEV_CONFIG_RELOAD_REPLY, a, MAGLEV_NUMBER (rmp->ticket, a.ticket));
}

/* ---- events ---- */

static maglev_subscriber_t *
maglev_api_subscriber (u32 client_index)
{
  maglev_subscriber_t *s;

  vec_foreach (s, maglev_api_main.subscribers)
    if (s->client_index == client_index)
      return s;
  return 0;
}

static void
maglev_api_unsubscribe (maglev_subscriber_t *s)
{
  maglev_api_main_t *am = &maglev_api_main;

  vec_del1 (am->subscribers, s - am->subscribers);
  maglev_rs_api_watch (vec_len (am->subscribers) > 0);
}

static void
vl_api_want_maglev_events_t_handler (vl_api_want_maglev_events_t *mp)
{
  maglev_api_main_t *am = &maglev_api_main;
  maglev_subscriber_t *s = maglev_api_subscriber (mp->client_index);
  vl_api_want_maglev_events_reply_t *rmp;
  i32 rv = 0;

  /* Who is gone already is never reaped again. */
  if (!vl_api_client_index_to_registration (mp->client_index))
    return;
  if ((*(u8 *) &mp->enable != 0) == (s != 0))
    rv = VNET_API_ERROR_INVALID_REGISTRATION;
  else if (s)
    maglev_api_unsubscribe (s);
  else
    {
      maglev_subscriber_t new = { .client_index = mp->client_index, .pid = mp->pid };
      vec_add1 (am->subscribers, new);
      maglev_rs_api_watch (1);
    }
  REPLY_MACRO (VL_API_WANT_MAGLEV_EVENTS_REPLY);
}

static clib_error_t *
maglev_api_reap (u32 client_index)
{
  maglev_subscriber_t *s = maglev_api_subscriber (client_index);

  if (s)
    maglev_api_unsubscribe (s);
  return 0;
}

VL_MSG_API_REAPER_FUNCTION (maglev_api_reap);

/* Sending must neither block VPP (a full queue in shared memory would) nor let it grow without end (a socket that is
   never read would). */
static int
maglev_api_takes (vl_api_registration_t *reg)
{
  if (reg->registration_type > REGISTRATION_TYPE_SHMEM)
    return vec_len (reg->output_vector) < MAGLEV_API_MOST_UNREAD;
  return vl_api_can_send_msg (reg);
}

void
maglev_api_send_events (void)
{
  maglev_subscriber_t *s;
  maglev_api_event_t e;

  while (maglev_rs_api_next_event (&e))
    vec_foreach (s, maglev_api_main.subscribers)
      {
	vl_api_registration_t *reg = vl_api_client_index_to_registration (s->client_index);
	vl_api_maglev_event_t *rmp;

	if (!reg || !maglev_api_takes (reg))
	  continue;
	rmp = maglev_api_new (VL_API_MAGLEV_EVENT, sizeof (*rmp), &e.text);
	rmp->client_index = s->client_index;
	rmp->pid = s->pid;
	MAGLEV_NUMBER (rmp->sequence, e.sequence);
	MAGLEV_NUMBER (rmp->time, e.time_ms);
	rmp->kind = e.kind;
	rmp->level = e.level;
	MAGLEV_NUMBER (rmp->ticket, e.ticket);
	MAGLEV_NUMBER (rmp->retval, e.retval);
	MAGLEV_NUMBER (rmp->latency_us, e.latency_us);
	MAGLEV_FIELD (rmp->name, e.name);
	MAGLEV_FIELD (rmp->before, e.before);
	MAGLEV_FIELD (rmp->after, e.after);
	MAGLEV_FIELD (rmp->code, e.code);
	maglev_api_text (&rmp->text, &e.text);
	vl_api_send_msg (reg, (u8 *) rmp);
      }
}

/* ---- registration ---- */

#include <maglev.api.c>

static clib_error_t *
maglev_api_init (vlib_main_t *vm)
{
  maglev_api_main_t *mm = &maglev_api_main;
  api_main_t *am = vlibapi_get_main ();

  mm->msg_id_base = setup_message_id_table ();
  /* Nothing here touches what the workers use: they need not stand still. lb's own handlers see to themselves. */
  for (u32 i = 0; i < VL_MSG_MAGLEV_LAST; i++)
    vl_api_set_msg_thread_safe (am, mm->msg_id_base + i, 1);
  return 0;
}

/* Messages reach Rust, which must know its thread. */
VLIB_INIT_FUNCTION (maglev_api_init) = {
  .runs_after = VLIB_INITS ("maglev_init"),
};
