/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Subscribers to events. Rust keeps what is to be told once for all; each subscriber has a place in that, and is told the
 * next when it has read enough of what it was told. Who falls too far behind is told how much it has lost.
 */

#include "maglev_api.h"

/* One that does not read is looked at again after so long, in seconds. */
#define MAGLEV_API_PATIENCE 20e-3
/* How often Rust is told how the clients do, in seconds. */
#define MAGLEV_API_TELL 1.0

typedef struct
{
  /* Handle as the client sent it, in its byte order. */
  u32 client_index;
  u32 pid;
  /* Of the next event. */
  u64 position;
  /* Lost since the last event that it was told. */
  u64 lost;
  /* It does not read: not before that. */
  f64 not_before;
} maglev_subscriber_t;

static maglev_subscriber_t *subscribers;
/* Who is next, so that none is always last. */
static u32 turn_of;
static f64 told_at;

static maglev_subscriber_t *
subscriber (u32 client_index)
{
  maglev_subscriber_t *s;

  vec_foreach (s, subscribers)
    if (s->client_index == client_index)
      return s;
  return 0;
}

static void
unsubscribe (maglev_subscriber_t *s)
{
  vec_del1 (subscribers, s - subscribers);
  if (vec_len (subscribers) == 0)
    maglev_rs_api_watch (0);
}

u32
maglev_api_n_subscribers (void)
{
  return vec_len (subscribers);
}

void
maglev_api_unsubscribe_gone (u32 client_index)
{
  maglev_subscriber_t *s = subscriber (client_index);

  if (s)
    unsubscribe (s);
}

i32
maglev_api_subscribe (u32 client_index, u32 pid, int enable)
{
  maglev_subscriber_t *s = subscriber (client_index);

  if (enable == (s != 0))
    return VNET_API_ERROR_INVALID_REGISTRATION;
  if (s)
    unsubscribe (s);
  else
    {
      maglev_subscriber_t new = { .client_index = client_index, .pid = pid };
      maglev_rs_api_watch (1);
      /* What was before is not its business. */
      while (maglev_rs_api_gather (&new.position))
	;
      vec_add1 (subscribers, new);
    }
  return 0;
}

static int
send_event (vl_api_registration_t *reg, maglev_subscriber_t *s, const maglev_api_event_t *e)
{
  vl_api_maglev_event_t *rmp = maglev_api_new (reg, VL_API_MAGLEV_EVENT, sizeof (*rmp), &e->text);

  if (!rmp)
    return -1;
  rmp->client_index = s->client_index;
  rmp->pid = s->pid;
  rmp->sequence = e->sequence;
  rmp->lost = s->lost;
  rmp->time = e->time_ms;
  rmp->kind = e->kind;
  rmp->level = e->level;
  rmp->ticket = e->ticket;
  rmp->retval = e->retval;
  MAGLEV_FIELD (rmp->name, e->name);
  rmp->backend_from = e->backend_from;
  rmp->backend_to = e->backend_to;
  rmp->first_seen = e->first_seen;
  rmp->frontend_from = e->frontend_from;
  rmp->frontend_to = e->frontend_to;
  MAGLEV_FIELD (rmp->pool_from, e->pool_from);
  MAGLEV_FIELD (rmp->pool_to, e->pool_to);
  MAGLEV_FIELD (rmp->code, e->code);
  rmp->failed = e->failed;
  rmp->begins = e->begins;
  rmp->panic_mode = e->panic_mode;
  rmp->up = e->up;
  rmp->of = e->of;
  rmp->count = e->count;
  rmp->verdict = e->verdict;
  rmp->latency_us = e->latency_us;
  MAGLEV_FIELD (rmp->detail, e->detail);
  maglev_api_text (&rmp->text, &e->text);
  return maglev_api_send (reg, VL_API_MAGLEV_EVENT, rmp);
}

/* Tells one subscriber what it can take, until then. 0: all; 1: it does not read; 2: the time is over. */
static int
tell (vlib_main_t *vm, maglev_subscriber_t *s, u64 end, f64 until)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (s->client_index);
  maglev_api_event_t e;

  if (!reg)
    return 0;
  while (s->position < end && maglev_rs_api_event (s->position, &e))
    {
      u64 lost = e.position - s->position;

      s->lost += lost;
      maglev_api_main.events_lost += lost;
      s->position = e.position;
      if (!maglev_api_has_room (reg, MAGLEV_SEND_MANY, sizeof (vl_api_maglev_event_t) + e.text.length) ||
	  send_event (reg, s, &e))
	return 1;
      s->lost = 0;
      s->position++;
      if (vlib_time_now (vm) > until)
	return 2;
    }
  return 0;
}

static void
tell_rust (f64 now)
{
  static maglev_api_clients_t last;
  maglev_api_clients_t clients = {
    .subscribers = vec_len (subscribers),
    .events_lost = maglev_api_main.events_lost,
    .replies_dropped = maglev_api_main.replies_dropped,
    .unread_bytes = maglev_api_unread (),
  };

  if (now < told_at + MAGLEV_API_TELL && clients.subscribers == last.subscribers)
    return;
  told_at = now;
  last = clients;
  maglev_rs_api_clients (&clients);
}

f64
maglev_api_send_events (vlib_main_t *vm)
{
  f64 now = vlib_time_now (vm), until = now + MAGLEV_API_SLICE, again = -1;
  u32 n = vec_len (subscribers);
  u64 end = 0;
  int more = maglev_rs_api_gather (&end);

  tell_rust (now);
  if (more)
    again = 0;
  for (u32 i = 0; i < n; i++)
    {
      maglev_subscriber_t *s = vec_elt_at_index (subscribers, (turn_of + i) % n);

      if (s->position == end)
	continue;
      if (now < s->not_before)
	{
	  again = more ? 0 : MAGLEV_API_PATIENCE;
	  continue;
	}
      switch (tell (vm, s, end, until))
	{
	case 0:
	  break;
	case 1:
	  s->not_before = now + MAGLEV_API_PATIENCE;
	  again = more ? 0 : MAGLEV_API_PATIENCE;
	  if (vlib_time_now (vm) < until)
	    break;
	  /* fall through */
	default:
	  /* The next turn begins with the one behind it. */
	  turn_of = (turn_of + i + 1) % n;
	  return 0;
	}
    }
  return again;
}
