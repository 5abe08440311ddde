/* SPDX-License-Identifier: Apache-2.0 */

/* What the files of the binary API share: api.c (requests), api_events.c (subscribers), api_send.c (sending). */

#ifndef included_maglev_api_h
#define included_maglev_api_h

#include <vnet/vnet.h>
#include <vnet/api_errno.h>
#include <vlibapi/api.h>
#include <vlibmemory/api.h>
#include <vnet/format_fns.h>
#include <maglev.api_enum.h>
#include <maglev.api_types.h>
#include "maglev.h"

typedef struct
{
  u16 msg_id_base;
  /* In numbers that wrap only with the universe. */
  u64 replies_dropped;
  u64 events_lost;
  /* Of our messages, sent and not read yet, of all clients in shared memory, and of all over the socket: at most that; counted
     anew where it matters. */
  u64 unread_of[2];
} maglev_api_main_t;

extern maglev_api_main_t maglev_api_main;

/* How much of ours a client may leave unread before it gets no more of a kind: what is asked for in bulk goes first. */
typedef enum
{
  MAGLEV_SEND_MANY,  /* rows and events */
  MAGLEV_SEND_REPLY, /* the one reply to a request */
} maglev_send_kind_t;

/* Would a message of that size be sent to that client now? */
int maglev_api_has_room (vl_api_registration_t *reg, maglev_send_kind_t kind, uword size);

/* The client that asks, if it is there and a reply would be sent to it. A request whose reply cannot be sent is not carried out,
   but counted. */
vl_api_registration_t *maglev_api_asks (u32 client_index);

/* A message, all zero but for its number, in host order; its text, if it has one, is to be put behind it. 0: no memory. */
void *maglev_api_new (vl_api_registration_t *reg, u32 id, uword size, const maglev_text_t *text);
/* Sends it, in the network's order; whatever happens, it is gone. Never waits for the client. 0: sent. */
int maglev_api_send (vl_api_registration_t *reg, u32 id, void *message);
/* The same for a reply: what could not be sent is counted. */
void maglev_api_reply (vl_api_registration_t *reg, u32 id, void *message);

/* Forgets a client. */
void maglev_api_forget (u32 client_index);

static_always_inline u64
maglev_api_unread (void)
{
  return maglev_api_main.unread_of[0] + maglev_api_main.unread_of[1];
}

/* api_events.c */
void maglev_api_unsubscribe_gone (u32 client_index);
i32 maglev_api_subscribe (u32 client_index, u32 pid, int enable);
u32 maglev_api_n_subscribers (void);

/* All that is sent on behalf of one request, and all that subscribers are told in one turn, takes less than this, in seconds. */
#define MAGLEV_API_SLICE 0.4e-3

/* Fields of the same size. */
#define MAGLEV_FIELD(to, from)                                                                                         \
  do                                                                                                                   \
    {                                                                                                                  \
      STATIC_ASSERT (sizeof (to) == sizeof (from), "field: size");                                                     \
      clib_memcpy_fast (&(to), &(from), sizeof (to));                                                                  \
    }                                                                                                                  \
  while (0)

static_always_inline void
maglev_api_text (vl_api_string_t *to, const maglev_text_t *from)
{
  to->length = clib_host_to_net_u32 (from->length);
  if (from->length)
    clib_memcpy_fast (to->buf, from->data, from->length);
}

#endif /* included_maglev_api_h */
