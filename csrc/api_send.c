/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sending to clients of the binary API. A client that asks and does not read must neither block VPP's main thread (a full
 * queue in shared memory would) nor let VPP grow (a socket that is never read would), whatever it asks for.
 *
 * What a client has not read yet is known: of a socket the bytes in its output vector, of shared memory the messages in its
 * queue. How much of that is ours is kept for each client that has something unread, and is at most what we sent since it had
 * read all.
 */

#include <vppinfra/hash.h>
#include <svm/svm.h>
#include <svm/queue.h>
#include "maglev_api.h"

/* Of ours, unread by one client, in bytes: rows and events up to the first, replies up to the second. */
#define MAGLEV_UNREAD_MANY  (64 << 10)
#define MAGLEV_UNREAD_REPLY (128 << 10)
/* Of all clients together, in VPP's heap, and in shared memory (or a quarter of the segment, if that is less). */
#define MAGLEV_UNREAD_SOCKETS (16 << 20)
#define MAGLEV_UNREAD_SHARED  (4 << 20)
/* So much each client may always have, so that those that do not read take nothing from those that do. */
#define MAGLEV_UNREAD_FREE (8 << 10)
/* A client in shared memory may hold its queue's lock for a moment; so long it is tried, in seconds. */
#define MAGLEV_LOCK_PATIENCE 0.2e-3
/* What all clients have not read is counted anew at most so often, in seconds: with many of them that takes a while. */
#define MAGLEV_COUNT_AGAIN 5e-3
/* A reply is assumed to be so long before it is made. */
#define MAGLEV_REPLY_SIZE 512

typedef struct
{
  u32 client_index;
  u32 messages;
  u64 bytes;
} maglev_unread_t;

maglev_api_main_t maglev_api_main;

/* Clients that have something of ours unread, as counted last. */
static maglev_unread_t *unread_pool;
static uword *unread_by_client;

static int
is_socket (vl_api_registration_t *reg)
{
  return reg->registration_type > REGISTRATION_TYPE_SHMEM;
}

/* As clients name themselves in requests. */
static u32
client_index_of (vl_api_registration_t *reg)
{
  vl_shmem_hdr_t *hdr = reg->shmem_hdr;

  if (is_socket (reg))
    return clib_host_to_net_u32 (reg->vl_api_registration_pool_index | (1u << 31));
  return vl_msg_api_handle_from_index_and_epoch (reg->vl_api_registration_pool_index,
						 hdr->application_restarts);
}

/* What of ours a client has not read yet; what it has read by now is taken off. */
static u64
unread_of (maglev_unread_t *u, vl_api_registration_t *reg)
{
  u64 bytes = u->bytes;

  if (is_socket (reg))
    bytes = clib_min (bytes, (u64) vec_len (reg->output_vector));
  else
    {
      u32 messages = reg->vl_input_queue ? clib_max (reg->vl_input_queue->cursize, 0) : 0;
      if (messages < u->messages)
	{
	  bytes = bytes * messages / u->messages;
	  u->messages = messages;
	}
    }
  u->bytes = bytes;
  return bytes;
}

static maglev_unread_t *
find (vl_api_registration_t *reg)
{
  uword *p = hash_get (unread_by_client, client_index_of (reg));

  return p ? pool_elt_at_index (unread_pool, p[0]) : 0;
}

void
maglev_api_forget (u32 client_index)
{
  uword *p = hash_get (unread_by_client, client_index);

  if (!p)
    return;
  pool_put_index (unread_pool, p[0]);
  hash_unset (unread_by_client, client_index);
}

/* Counts anew what all clients have not read, unless that was done just before. */
static void
count_all (void)
{
  static f64 counted_at;
  f64 now = vlib_time_now (vlib_get_main ());
  maglev_unread_t *u;

  if (now < counted_at + MAGLEV_COUNT_AGAIN)
    return;
  counted_at = now;
  maglev_api_main.unread_of[0] = maglev_api_main.unread_of[1] = 0;
  pool_foreach (u, unread_pool)
    {
      vl_api_registration_t *reg = vl_api_client_index_to_registration (u->client_index);

      if (reg)
	maglev_api_main.unread_of[is_socket (reg)] += unread_of (u, reg);
    }
}

static u64
most_shared (vl_api_registration_t *reg)
{
  svm_region_t *rp = reg->vlib_rp;

  return clib_min ((u64) MAGLEV_UNREAD_SHARED, rp ? (u64) rp->virtual_size / 4 : 0);
}

int
maglev_api_has_room (vl_api_registration_t *reg, maglev_send_kind_t kind, uword size)
{
  maglev_unread_t *u = find (reg);
  u64 own = size + (u ? unread_of (u, reg) : 0);
  u64 most = kind == MAGLEV_SEND_MANY ? MAGLEV_UNREAD_MANY : MAGLEV_UNREAD_REPLY;
  int socket = is_socket (reg);

  if (reg->is_being_removed)
    return 0;
  if (!socket)
    {
      svm_queue_t *q = reg->vl_input_queue;
      /* The last place is for the reply. */
      if (!q || q->cursize + (kind == MAGLEV_SEND_MANY) >= q->maxsize)
	return 0;
      most = clib_min (most, most_shared (reg));
    }
  if (own <= MAGLEV_UNREAD_FREE)
    return 1;
  if (own > most)
    return 0;
  /* What is remembered is never less than what is true. */
  most = socket ? MAGLEV_UNREAD_SOCKETS : most_shared (reg);
  if (maglev_api_main.unread_of[socket] + size > most)
    count_all ();
  return maglev_api_main.unread_of[socket] + size <= most;
}

vl_api_registration_t *
maglev_api_asks (u32 client_index)
{
  vl_api_registration_t *reg = vl_api_client_index_to_registration (client_index);

  if (!reg)
    return 0;
  if (maglev_api_has_room (reg, MAGLEV_SEND_REPLY, MAGLEV_REPLY_SIZE))
    return reg;
  maglev_api_main.replies_dropped++;
  return 0;
}

/* The memory of a client's messages may be a segment of its own; VPP's allocator knows one at a time. */
#define WITH_SEGMENT_OF(reg, body)                                                                                     \
  do                                                                                                                   \
    {                                                                                                                  \
      api_main_t *_am = vlibapi_get_main ();                                                                           \
      svm_region_t *_rp = _am->vlib_rp;                                                                                \
      vl_shmem_hdr_t *_hdr = _am->shmem_hdr;                                                                           \
      if (!is_socket (reg) && (reg)->vlib_rp && (reg)->vlib_rp != _rp)                                                 \
	{                                                                                                              \
	  _am->vlib_rp = (reg)->vlib_rp;                                                                               \
	  _am->shmem_hdr = (void *) (reg)->vlib_rp->user_ctx;                                                          \
	}                                                                                                              \
      body;                                                                                                            \
      _am->vlib_rp = _rp;                                                                                              \
      _am->shmem_hdr = _hdr;                                                                                           \
    }                                                                                                                  \
  while (0)

void *
maglev_api_new (vl_api_registration_t *reg, u32 id, uword size, const maglev_text_t *text)
{
  void *mp;

  size += text ? text->length : 0;
  WITH_SEGMENT_OF (reg, mp = vl_msg_api_alloc_or_null (size));
  if (!mp)
    return 0;
  clib_memset (mp, 0, size);
  *(u16 *) mp = id + maglev_api_main.msg_id_base;
  return mp;
}

static void
note_sent (vl_api_registration_t *reg, uword size)
{
  u32 client_index = client_index_of (reg);
  maglev_unread_t *u = find (reg);
  int all_read = is_socket (reg) ? vec_len (reg->output_vector) == 0 : reg->vl_input_queue->cursize == 0;

  if (all_read)
    {
      maglev_api_forget (client_index);
      return;
    }
  if (!u)
    {
      pool_get_zero (unread_pool, u);
      u->client_index = client_index;
      hash_set (unread_by_client, client_index, u - unread_pool);
    }
  u->messages++;
  u->bytes += size;
  maglev_api_main.unread_of[is_socket (reg)] += size;
}

/* Without waiting: the client may have been stopped with its queue full, or while it held the lock. */
static int
add_to_queue (vl_api_registration_t *reg, void *message)
{
  vlib_main_t *vm = vlib_get_main ();
  api_main_t *am = vlibapi_get_main ();
  f64 until = 0;
  int rv;

  if (am->tx_trace && am->tx_trace->enabled)
    vl_msg_api_trace (am, am->tx_trace, message);
  while ((rv = svm_queue_add (reg->vl_input_queue, (u8 *) &message, 1)) == -1)
    {
      if (until == 0)
	until = vlib_time_now (vm) + MAGLEV_LOCK_PATIENCE;
      else if (vlib_time_now (vm) > until)
	break;
      CLIB_PAUSE ();
    }
  return rv;
}

int
maglev_api_send (vl_api_registration_t *reg, u32 id, void *message)
{
  api_main_t *am = vlibapi_get_main ();
  msgbuf_t *mb = (msgbuf_t *) ((u8 *) message - offsetof (msgbuf_t, data));
  uword size = sizeof (*mb) + clib_net_to_host_u32 (mb->data_len);
  void (*to_network) (void *, bool);
  int rv = 0;

  to_network = am->msg_data[id + maglev_api_main.msg_id_base].endian_handler;
  to_network (message, 1);
  if (is_socket (reg))
    vl_socket_api_send (reg, message);
  else if ((rv = add_to_queue (reg, message)))
    {
      WITH_SEGMENT_OF (reg, vl_msg_api_free (message));
      return rv;
    }
  note_sent (reg, size);
  return 0;
}

void
maglev_api_reply (vl_api_registration_t *reg, u32 id, void *message)
{
  if (!message || maglev_api_send (reg, id, message))
    maglev_api_main.replies_dropped++;
}
