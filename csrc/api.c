/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The binary API: the messages of vpp-plugin/maglev.api, between VPP's structs and Rust's. Nothing is decided here, and
 * nothing waits. vppapigen has made the maglev.api_*.h and maglev.api.c (build.rs); requests come in host order, and
 * api_send.c turns what is sent.
 */

#include "maglev_api.h"

#define _(e) STATIC_ASSERT (MAGLEV_##e == (int) VNET_API_ERROR_##e, "error number: " #e);
_ (UNSPECIFIED)
_ (NO_SUCH_ENTRY)
_ (INVALID_VALUE)
_ (FEATURE_DISABLED)
_ (RESPONSE_NOT_READY)
_ (INIT_FAILED)
_ (LIMIT_EXCEEDED)
_ (EAGAIN)
_ (BUSY)
_ (BUG)
#undef _

#define REPLY_MSG_ID_BASE maglev_api_main.msg_id_base
#include <vlibapi/api_helper_macros.h>

/* ---- conversions ---- */

static maglev_name_t
maglev_api_name (const u8 *field)
{
  /* A field without an end is longer than any name, and refused as such. */
  return (maglev_name_t){ .data = (const char *) field, .length = strnlen ((const char *) field, MAGLEV_NAME_SIZE) };
}

static void
maglev_api_address (vl_api_address_t *to, const maglev_address_t *from)
{
  to->af = from->is_ip6 ? ADDRESS_IP6 : ADDRESS_IP4;
  STATIC_ASSERT (sizeof (to->un) == sizeof (from->bytes), "address: size");
  clib_memcpy_fast (&to->un, from->bytes, sizeof (from->bytes));
}

/* ---- state ---- */

static void
vl_api_maglev_status_t_handler (vl_api_maglev_status_t *mp)
{
  vl_api_registration_t *reg = maglev_api_asks (mp->client_index);
  vl_api_maglev_status_reply_t *rmp;
  maglev_api_status_t s = {};

  if (!reg)
    return;
  maglev_rs_api_status (&s);
  if ((rmp = maglev_api_new (reg, VL_API_MAGLEV_STATUS_REPLY, sizeof (*rmp), &s.reason)))
    {
      rmp->context = mp->context;
      rmp->state = s.state;
      rmp->lb_available = s.lb_available;
      rmp->prober_running = s.prober_running;
      rmp->uptime_ms = s.uptime_ms;
      rmp->config_loaded = s.config_loaded_ms;
      rmp->config_errors = s.config_errors;
      rmp->backends = s.backends;
      rmp->backends_up = s.backends_up;
      rmp->frontends = s.frontends;
      rmp->frontends_up = s.frontends_up;
      rmp->probes_in_flight = s.in_flight;
      rmp->probes = s.probes;
      rmp->probes_late = s.late;
      rmp->lb_syncs = s.syncs;
      rmp->lb_calls = s.calls;
      rmp->lb_failures = s.failures;
      rmp->generation = s.generation;
      rmp->problems = s.problems;
      rmp->subscribers = maglev_api_n_subscribers ();
      rmp->events_lost = maglev_api_main.events_lost;
      rmp->replies_dropped = maglev_api_main.replies_dropped;
      rmp->unread_bytes = maglev_api_unread ();
      MAGLEV_FIELD (rmp->version, s.version);
      MAGLEV_FIELD (rmp->built_for, s.built_for);
      maglev_api_text (&rmp->reason, &s.reason);
    }
  maglev_api_reply (reg, VL_API_MAGLEV_STATUS_REPLY, rmp);
}

/* ---- lists ---- */

/* The handler of a list: what the cursor gives, for as long as there is time and room, and the reply. */
#define MAGLEV_ROWS(name, NAME, only)                                                                                  \
  do                                                                                                                   \
    {                                                                                                                  \
      maglev_stay_t stay = maglev_stay_begin ();                                                                       \
      vl_api_registration_t *reg = maglev_api_asks (mp->client_index);                                                 \
      vl_api_maglev_##name##_get_reply_t *rmp;                                                                         \
      u64 cursor;                                                                                                      \
      i32 rv;                                                                                                          \
                                                                                                                       \
      if (!reg)                                                                                                        \
	return;                                                                                                        \
      rv = maglev_rs_api_rows (MAGLEV_ROWS_##NAME##S, maglev_api_name (only), mp->cursor);                             \
      cursor = maglev_rs_api_cursor ();                                                                                \
      if (rv == 0)                                                                                                     \
	rv = send_rows (reg, send_##name, sizeof (vl_api_maglev_##name##_details_t), mp->context, &cursor);            \
      if ((rmp = maglev_api_new (reg, VL_API_MAGLEV_##NAME##_GET_REPLY, sizeof (*rmp), 0)))                            \
	{                                                                                                              \
	  rmp->context = mp->context;                                                                                  \
	  rmp->retval = rv;                                                                                            \
	  rmp->cursor = cursor;                                                                                        \
	}                                                                                                              \
      maglev_api_reply (reg, VL_API_MAGLEV_##NAME##_GET_REPLY, rmp);                                                   \
      maglev_stay_end (MAGLEV_STAY_DUMP, stay);                                                                        \
    }                                                                                                                  \
  while (0)

/* A text behind the fixed part of a row is at most so long. */
#define MAGLEV_ROW_TEXT 2048

/* `send` sends one row: 1 one, 0 there are no more, -1 it could not. Leaves the cursor behind the last one that was sent. */
static i32
send_rows (vl_api_registration_t *reg, int (*send) (vl_api_registration_t *, u32), uword size, u32 context, u64 *cursor)
{
  vlib_main_t *vm = vlib_get_main ();
  f64 until = vlib_time_now (vm) + MAGLEV_API_SLICE;
  int sent;

  do
    {
      if (!maglev_api_has_room (reg, MAGLEV_SEND_MANY, size + MAGLEV_ROW_TEXT) || vlib_time_now (vm) > until)
	return VNET_API_ERROR_EAGAIN;
      if ((sent = send (reg, context)) < 0)
	return VNET_API_ERROR_EAGAIN;
      *cursor = maglev_rs_api_cursor ();
    }
  while (sent);
  return 0;
}

static int
send_backend (vl_api_registration_t *reg, u32 context)
{
  vl_api_maglev_backend_details_t *rmp;
  maglev_api_backend_t r;

  if (!maglev_rs_api_next_backend (&r))
    return 0;
  rmp = maglev_api_new (reg, VL_API_MAGLEV_BACKEND_DETAILS, sizeof (*rmp), &r.reason);
  if (!rmp)
    return -1;
  rmp->context = context;
  MAGLEV_FIELD (rmp->name, r.name);
  maglev_api_address (&rmp->address, &r.address);
  MAGLEV_FIELD (rmp->healthcheck, r.healthcheck);
  rmp->state = r.state;
  MAGLEV_FIELD (rmp->display, r.display);
  rmp->counter = r.counter;
  rmp->counter_max = r.counter_max;
  rmp->rise = r.rise;
  rmp->fall = r.fall;
  rmp->since = r.since_ms;
  rmp->last_probe = r.last_probe_ms;
  rmp->last_latency_us = r.last_latency_us;
  rmp->passes = r.passes;
  rmp->failures = r.failures;
  rmp->faults = r.faults;
  MAGLEV_FIELD (rmp->last_code, r.last_code);
  MAGLEV_FIELD (rmp->last_detail, r.last_detail);
  MAGLEV_FIELD (rmp->tracks, r.tracks);
  MAGLEV_FIELD (rmp->agent_track, r.agent_track);
  rmp->has_agent = r.has_agent;
  rmp->agent_muted = r.agent_muted;
  rmp->has_agent_weight = r.has_agent_weight;
  rmp->agent_weight_is_share = r.agent_weight_is_share;
  rmp->agent_weight = r.agent_weight;
  MAGLEV_FIELD (rmp->waits_for, r.waits_for);
  maglev_api_text (&rmp->reason, &r.reason);
  return maglev_api_send (reg, VL_API_MAGLEV_BACKEND_DETAILS, rmp) ? -1 : 1;
}

static void
vl_api_maglev_backend_get_t_handler (vl_api_maglev_backend_get_t *mp)
{
  MAGLEV_ROWS (backend, BACKEND, mp->name);
}

static int
send_frontend (vl_api_registration_t *reg, u32 context)
{
  vl_api_maglev_frontend_details_t *rmp;
  maglev_api_frontend_t r;

  if (!maglev_rs_api_next_frontend (&r))
    return 0;
  rmp = maglev_api_new (reg, VL_API_MAGLEV_FRONTEND_DETAILS, sizeof (*rmp), &r.error);
  if (!rmp)
    return -1;
  rmp->context = context;
  MAGLEV_FIELD (rmp->name, r.name);
  MAGLEV_FIELD (rmp->description, r.description);
  maglev_api_address (&rmp->address, &r.address);
  rmp->all_ports = r.all_ports;
  rmp->protocol = r.protocol;
  rmp->port = r.port;
  rmp->state = r.state;
  MAGLEV_FIELD (rmp->pool, r.pool);
  rmp->serving = r.serving;
  rmp->total = r.total;
  rmp->encap = r.encap;
  rmp->table_length = r.table_length;
  rmp->src_ip_sticky = r.src_ip_sticky;
  rmp->flush_on_down = r.flush_on_down;
  rmp->slow_start_ms = r.slow_start_ms;
  rmp->panic_mode = r.panic_mode;
  rmp->panic_threshold = r.panic_threshold;
  rmp->in_panic = r.in_panic;
  rmp->panic_up = r.panic_up;
  rmp->panic_of = r.panic_of;
  rmp->programmed = r.programmed;
  rmp->leaving = r.leaving;
  maglev_api_text (&rmp->error, &r.error);
  return maglev_api_send (reg, VL_API_MAGLEV_FRONTEND_DETAILS, rmp) ? -1 : 1;
}

static void
vl_api_maglev_frontend_get_t_handler (vl_api_maglev_frontend_get_t *mp)
{
  MAGLEV_ROWS (frontend, FRONTEND, mp->name);
}

static int
send_member (vl_api_registration_t *reg, u32 context)
{
  vl_api_maglev_member_details_t *rmp;
  maglev_api_member_t r;

  if (!maglev_rs_api_next_member (&r))
    return 0;
  rmp = maglev_api_new (reg, VL_API_MAGLEV_MEMBER_DETAILS, sizeof (*rmp), 0);
  if (!rmp)
    return -1;
  rmp->context = context;
  MAGLEV_FIELD (rmp->frontend, r.frontend);
  MAGLEV_FIELD (rmp->pool, r.pool);
  MAGLEV_FIELD (rmp->backend, r.backend);
  maglev_api_address (&rmp->address, &r.address);
  rmp->pool_active = r.pool_active;
  rmp->state = r.state;
  rmp->weight = r.weight;
  rmp->configured = r.configured;
  rmp->overridden = r.overridden;
  rmp->with_agent = r.with_agent;
  rmp->effective = r.effective;
  MAGLEV_FIELD (rmp->why, r.why);
  return maglev_api_send (reg, VL_API_MAGLEV_MEMBER_DETAILS, rmp) ? -1 : 1;
}

static void
vl_api_maglev_member_get_t_handler (vl_api_maglev_member_get_t *mp)
{
  MAGLEV_ROWS (member, MEMBER, mp->frontend);
}

static int
send_healthcheck (vl_api_registration_t *reg, u32 context)
{
  vl_api_maglev_healthcheck_details_t *rmp;
  maglev_api_healthcheck_t r;

  if (!maglev_rs_api_next_healthcheck (&r))
    return 0;
  rmp = maglev_api_new (reg, VL_API_MAGLEV_HEALTHCHECK_DETAILS, sizeof (*rmp), &r.parameters);
  if (!rmp)
    return -1;
  rmp->context = context;
  MAGLEV_FIELD (rmp->name, r.name);
  rmp->type = r.type;
  rmp->port = r.port;
  rmp->interval_ms = r.interval_ms;
  rmp->fast_interval_ms = r.fast_interval_ms;
  rmp->down_interval_ms = r.down_interval_ms;
  rmp->timeout_ms = r.timeout_ms;
  rmp->rise = r.rise;
  rmp->fall = r.fall;
  rmp->counter = r.counter;
  rmp->jitter_percent = r.jitter_percent;
  rmp->has_source_ip4 = r.has_source_ip4;
  rmp->has_source_ip6 = r.has_source_ip6;
  MAGLEV_FIELD (rmp->source_ip4, r.source_ip4);
  MAGLEV_FIELD (rmp->source_ip6, r.source_ip6);
  rmp->silent_bound_ms = r.silent_bound_ms;
  rmp->refused_bound_ms = r.refused_bound_ms;
  rmp->backends = r.backends;
  maglev_api_text (&rmp->parameters, &r.parameters);
  return maglev_api_send (reg, VL_API_MAGLEV_HEALTHCHECK_DETAILS, rmp) ? -1 : 1;
}

static void
vl_api_maglev_healthcheck_get_t_handler (vl_api_maglev_healthcheck_get_t *mp)
{
  MAGLEV_ROWS (healthcheck, HEALTHCHECK, mp->name);
}

/* ---- verbs ---- */

/* Asks for an answer, and sends it. */
#define MAGLEV_VERB(ID, ask, body)                                                                                     \
  do                                                                                                                   \
    {                                                                                                                  \
      vl_api_registration_t *reg = maglev_api_asks (mp->client_index);                                                 \
      maglev_api_answer_t a;                                                                                           \
                                                                                                                       \
      if (!reg)                                                                                                        \
	return;                                                                                                        \
      ask;                                                                                                             \
      if ((rmp = maglev_api_new (reg, ID, sizeof (*rmp), &a.text)))                                                    \
	{                                                                                                              \
	  rmp->context = mp->context;                                                                                  \
	  rmp->retval = a.retval;                                                                                      \
	  body;                                                                                                        \
	  maglev_api_text (&rmp->text, &a.text);                                                                       \
	}                                                                                                              \
      maglev_api_reply (reg, ID, rmp);                                                                                 \
    }                                                                                                                  \
  while (0)

static void
vl_api_maglev_set_backend_t_handler (vl_api_maglev_set_backend_t *mp)
{
  vl_api_maglev_set_backend_reply_t *rmp;

  MAGLEV_VERB (VL_API_MAGLEV_SET_BACKEND_REPLY,
	       maglev_rs_api_set_backend (maglev_api_name (mp->backend), mp->verb, &a), rmp->changed = a.changed);
}

static void
vl_api_maglev_set_weight_t_handler (vl_api_maglev_set_weight_t *mp)
{
  vl_api_maglev_set_weight_reply_t *rmp;
  /* Any byte that is not 0 is true; as bool the compiler would take it for 0 or 1. */
  u8 is_default = *(u8 *) &mp->is_default, flush = *(u8 *) &mp->flush;

  MAGLEV_VERB (VL_API_MAGLEV_SET_WEIGHT_REPLY,
	       maglev_rs_api_set_weight (maglev_api_name (mp->frontend), maglev_api_name (mp->pool),
					 maglev_api_name (mp->backend), is_default, mp->weight, flush, &a), rmp->changed = a.changed);
}

static void
vl_api_maglev_flush_frontend_t_handler (vl_api_maglev_flush_frontend_t *mp)
{
  vl_api_maglev_flush_frontend_reply_t *rmp;

  MAGLEV_VERB (VL_API_MAGLEV_FLUSH_FRONTEND_REPLY,
	       maglev_rs_api_flush_frontend (maglev_api_name (mp->frontend), &a), );
}

static void
vl_api_maglev_probe_t_handler (vl_api_maglev_probe_t *mp)
{
  vl_api_maglev_probe_reply_t *rmp;

  MAGLEV_VERB (VL_API_MAGLEV_PROBE_REPLY,
	       maglev_rs_api_probe (maglev_api_name (mp->backend), &a), rmp->ticket = a.ticket);
}

static void
vl_api_maglev_sync_t_handler (vl_api_maglev_sync_t *mp)
{
  vl_api_maglev_sync_reply_t *rmp;

  MAGLEV_VERB (VL_API_MAGLEV_SYNC_REPLY,
	       maglev_rs_api_sync (maglev_api_name (mp->frontend), &a), rmp->ticket = a.ticket);
}

static void
vl_api_maglev_config_check_t_handler (vl_api_maglev_config_check_t *mp)
{
  vl_api_maglev_config_check_reply_t *rmp;
  /* VPP has seen to it that the message is as long as this says. */
  maglev_name_t path = { .data = (char *) mp->path.buf, .length = vl_api_string_len (&mp->path) };

  MAGLEV_VERB (VL_API_MAGLEV_CONFIG_CHECK_REPLY,
	       maglev_rs_api_config_check (path, &a), rmp->ticket = a.ticket);
}

static void
vl_api_maglev_config_reload_t_handler (vl_api_maglev_config_reload_t *mp)
{
  vl_api_maglev_config_reload_reply_t *rmp;

  MAGLEV_VERB (VL_API_MAGLEV_CONFIG_RELOAD_REPLY,
	       maglev_rs_api_config_reload (*(u8 *) &mp->force != 0, &a), rmp->ticket = a.ticket);
}

/* ---- events ---- */

static void
vl_api_want_maglev_events_t_handler (vl_api_want_maglev_events_t *mp)
{
  vl_api_registration_t *reg = maglev_api_asks (mp->client_index);
  vl_api_want_maglev_events_reply_t *rmp;
  i32 rv;

  /* Who is gone already is never reaped again. */
  if (!reg)
    return;
  rv = maglev_api_subscribe (mp->client_index, mp->pid, *(u8 *) &mp->enable != 0);
  if ((rmp = maglev_api_new (reg, VL_API_WANT_MAGLEV_EVENTS_REPLY, sizeof (*rmp), 0)))
    {
      rmp->context = mp->context;
      rmp->retval = rv;
    }
  maglev_api_reply (reg, VL_API_WANT_MAGLEV_EVENTS_REPLY, rmp);
}

static clib_error_t *
maglev_api_reap (u32 client_index)
{
  maglev_api_unsubscribe_gone (client_index);
  maglev_api_forget (client_index);
  return 0;
}

VL_MSG_API_REAPER_FUNCTION (maglev_api_reap);

/* ---- registration ---- */

#include <maglev.api.c>

static clib_error_t *
maglev_api_init (vlib_main_t *vm)
{
  maglev_api_main_t *mm = &maglev_api_main;
  api_main_t *am = vlibapi_get_main ();

  mm->msg_id_base = setup_message_id_table ();
  /* vppapigen configures what is asked and answered, but no events. */
  vl_msg_api_config (&(vl_msg_api_msg_config_t){
    .id = VL_API_MAGLEV_EVENT + mm->msg_id_base,
    .name = "maglev_event",
    .handler = 0,
    .endian = vl_api_maglev_event_t_endian,
    .format_fn = vl_api_maglev_event_t_format,
    .traced = 1,
    .size = sizeof (vl_api_maglev_event_t),
    .tojson = vl_api_maglev_event_t_tojson,
    .fromjson = vl_api_maglev_event_t_fromjson,
    .calc_size = vl_api_maglev_event_t_calc_size,
    .is_autoendian = 1,
  });
  /* Nothing here touches what the workers use: they need not stand still. lb's own handlers see to themselves. */
  for (u32 i = 0; i < VL_MSG_MAGLEV_LAST; i++)
    vl_api_set_msg_thread_safe (am, mm->msg_id_base + i, 1);
  return 0;
}

/* Messages reach Rust, which must know its thread. */
VLIB_INIT_FUNCTION (maglev_api_init) = {
  .runs_after = VLIB_INITS ("maglev_init"),
};
