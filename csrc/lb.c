/* SPDX-License-Identifier: Apache-2.0 */

/*
 * lb, driven by its own binary API messages without a socket: lb exports no symbol. An internal client owns a private
 * queue; a message is handed to its handler on the spot, and the answer taken off the queue in the same breath.
 *
 * lb's handlers are not marked mp-safe, so each call takes the worker barrier by itself.
 */

#include <vlib/unix/plugin.h>
#include <vlibapi/api.h>
#include <vlibmemory/api.h>
#include <vnet/api_errno.h>
#include <lb/lb.api_types.h>
#include "maglev.h"

/* The queue must hold all that one handler can send: a full one would block main for ever. 8 bytes a slot, touched as
   they are used. */
#define MAGLEV_LB_QUEUE_SLOTS (1 << 20)

/* Requests, replies and details: name and CRC together say that we and lb mean the same layout. */
#define foreach_maglev_lb_message                                                                                      \
  _ (CONF_GET)                                                                                                         \
  _ (CONF_GET_REPLY)                                                                                                   \
  _ (CONF)                                                                                                             \
  _ (CONF_REPLY)                                                                                                       \
  _ (ADD_DEL_VIP_V2)                                                                                                   \
  _ (ADD_DEL_VIP_V2_REPLY)                                                                                             \
  _ (ADD_DEL_AS_V2)                                                                                                    \
  _ (ADD_DEL_AS_V2_REPLY)                                                                                              \
  _ (AS_SET_WEIGHT)                                                                                                    \
  _ (AS_SET_WEIGHT_REPLY)                                                                                              \
  _ (FLUSH_VIP)                                                                                                        \
  _ (FLUSH_VIP_REPLY)                                                                                                  \
  _ (VIP_DUMP)                                                                                                         \
  _ (VIP_DETAILS)                                                                                                      \
  _ (AS_V2_DUMP)                                                                                                       \
  _ (AS_V2_DETAILS)

enum
{
#define _(m) MAGLEV_LB_##m,
  foreach_maglev_lb_message
#undef _
    MAGLEV_LB_N_MESSAGES,
};

static const char *const maglev_lb_names[] = {
#define _(m) [MAGLEV_LB_##m] = VL_API_LB_##m##_CRC,
  foreach_maglev_lb_message
#undef _
};

typedef struct
{
  /* In this VPP; ~0: it has none such. */
  u32 message_ids[MAGLEV_LB_N_MESSAGES];
  u8 is_looked_up;
  /* Of the internal client; made once. */
  svm_queue_t *queue;
  u32 client_index;
  u32 context;
} maglev_lb_main_t;

static maglev_lb_main_t maglev_lb_main;

/* The parts of all replies that carry nothing but a verdict. */
typedef struct __attribute__ ((packed))
{
  u16 _vl_msg_id;
  u32 context;
  i32 retval;
} maglev_lb_reply_t;

#define _(m)                                                                                                           \
  STATIC_ASSERT (sizeof (maglev_lb_reply_t) == sizeof (vl_api_lb_##m##_reply_t), "lb_" #m "_reply: size");             \
  STATIC_ASSERT (offsetof (maglev_lb_reply_t, retval) == offsetof (vl_api_lb_##m##_reply_t, retval),                   \
		 "lb_" #m "_reply: retval");
_ (conf)
_ (add_del_vip_v2)
_ (add_del_as_v2)
_ (as_set_weight)
_ (flush_vip)
#undef _

STATIC_ASSERT (MAGLEV_ENCAP_GRE4 == (int) LB_API_ENCAP_TYPE_GRE4, "encap");
STATIC_ASSERT (MAGLEV_ENCAP_GRE6 == (int) LB_API_ENCAP_TYPE_GRE6, "encap");
STATIC_ASSERT (MAGLEV_ENCAP_L3DSR == (int) LB_API_ENCAP_TYPE_L3DSR, "encap");
STATIC_ASSERT (MAGLEV_ENCAP_NAT4 == (int) LB_API_ENCAP_TYPE_NAT4, "encap");
STATIC_ASSERT (MAGLEV_ENCAP_NAT6 == (int) LB_API_ENCAP_TYPE_NAT6, "encap");

#define _(e) STATIC_ASSERT (MAGLEV_##e == (int) VNET_API_ERROR_##e, "error number: " #e);
_ (NO_SUCH_ENTRY)
_ (INVALID_MEMORY_SIZE)
_ (INVALID_ARGUMENT)
_ (VALUE_EXIST)
_ (INVALID_ADDRESS_FAMILY)
#undef _

/* ---- opening ---- */

static void
maglev_lb_look_up (maglev_lb_main_t *lm)
{
  if (lm->is_looked_up)
    return;
  for (u32 i = 0; i < MAGLEV_LB_N_MESSAGES; i++)
    lm->message_ids[i] = vl_msg_api_get_msg_index ((u8 *) maglev_lb_names[i]);
  lm->is_looked_up = 1;
}

int32_t
maglev_shim_lb_message (uint32_t index, const char **name_crc, uint8_t *present)
{
  maglev_lb_main_t *lm = &maglev_lb_main;

  if (index >= MAGLEV_LB_N_MESSAGES)
    return 0;
  maglev_lb_look_up (lm);
  *name_crc = maglev_lb_names[index];
  *present = lm->message_ids[index] != ~0;
  return 1;
}

uint8_t
maglev_shim_lb_loaded (void)
{
  return hash_get_mem (vlib_plugin_main.plugin_by_name_hash, "lb_plugin.so") != 0;
}

uint32_t
maglev_shim_threads (void)
{
  return vlib_get_n_threads ();
}

int32_t
maglev_shim_lb_open (void)
{
  maglev_lb_main_t *lm = &maglev_lb_main;

  maglev_lb_look_up (lm);
  for (u32 i = 0; i < MAGLEV_LB_N_MESSAGES; i++)
    if (lm->message_ids[i] == ~0)
      return -1;

  if (lm->queue == 0)
    {
      lm->queue = svm_queue_alloc_and_init (MAGLEV_LB_QUEUE_SLOTS, sizeof (uword), getpid ());
      lm->client_index = vl_api_memclnt_create_internal ("maglev", lm->queue);
    }
  return 0;
}

/* ---- one call ---- */

/* The next message on the queue, or none. */
static void *
maglev_lb_take (maglev_lb_main_t *lm)
{
  uword message;

  if (svm_queue_sub (lm->queue, (u8 *) &message, SVM_Q_NOWAIT, 0))
    return 0;
  VL_MSG_API_UNPOISON ((void *) message);
  return (void *) message;
}

static int
maglev_lb_is (maglev_lb_main_t *lm, void *message, u32 which, uword size)
{
  /* Every message that lb sends has the id first and the context next. */
  maglev_lb_reply_t *head = message;

  return vl_msg_api_get_msg_length (message) >= size &&
	 clib_net_to_host_u16 (head->_vl_msg_id) == lm->message_ids[which] && head->context == lm->context;
}

/* A zeroed request with its head filled in. */
static void *
maglev_lb_request (maglev_lb_main_t *lm, u32 which, uword size)
{
  /* Every request has these first. */
  typedef struct __attribute__ ((packed))
  {
    u16 _vl_msg_id;
    u32 client_index;
    u32 context;
  } request_t;
  request_t *request;

  if (lm->queue == 0)
    return 0;
  request = vl_msg_api_alloc (size);
  clib_memset (request, 0, size);
  request->_vl_msg_id = clib_host_to_net_u16 (lm->message_ids[which]);
  request->client_index = lm->client_index;
  request->context = ++lm->context;
  return request;
}

/* Runs lb's handler, which frees the request. */
static void
maglev_lb_run (maglev_lb_main_t *lm, void *request, uword size)
{
  void *stale;
  u64 began;

  /* Left of a dump that was not read to its end. */
  while ((stale = maglev_lb_take (lm)))
    vl_msg_api_free (stale);
  began = clib_cpu_time_now ();
  vl_msg_api_handler (request, size);
  maglev_stays_main.in_lb += clib_cpu_time_now () - began;
}

/* The verdict. */
static maglev_lb_status_t
maglev_lb_finish (maglev_lb_main_t *lm, void *request, uword size, u32 which_reply, int32_t *retval)
{
  maglev_lb_status_t status = MAGLEV_LB_BAD_REPLY;
  maglev_lb_reply_t *reply;

  maglev_lb_run (lm, request, size);
  reply = maglev_lb_take (lm);
  if (reply == 0)
    return MAGLEV_LB_NO_REPLY;
  if (maglev_lb_is (lm, reply, which_reply, sizeof (*reply)))
    {
      *retval = (i32) clib_net_to_host_u32 (reply->retval);
      status = MAGLEV_LB_OK;
    }
  vl_msg_api_free (reply);
  return status;
}

/* ---- addresses ---- */

static void
maglev_lb_encode_address (const maglev_address_t *in, vl_api_address_t *out)
{
  out->af = in->is_ip6 ? ADDRESS_IP6 : ADDRESS_IP4;
  clib_memcpy (&out->un, in->bytes, in->is_ip6 ? 16 : 4);
}

static void
maglev_lb_decode_address (const vl_api_address_t *in, maglev_address_t *out)
{
  clib_memset (out, 0, sizeof (*out));
  out->is_ip6 = in->af == ADDRESS_IP6;
  clib_memcpy (out->bytes, &in->un, out->is_ip6 ? 16 : 4);
}

static void
maglev_lb_decode_vip (const vl_api_lb_vip_t *in, maglev_vip_t *out)
{
  maglev_lb_decode_address (&in->pfx.address, &out->address);
  out->prefix_len = in->pfx.len;
  out->protocol = in->protocol;
  out->port = clib_net_to_host_u16 (in->port);
}

#define MAGLEV_LB_ENCODE_VIP(vip, mp)                                                                                  \
  do                                                                                                                   \
    {                                                                                                                  \
      maglev_lb_encode_address (&(vip)->address, &(mp)->pfx.address);                                                  \
      (mp)->pfx.len = (vip)->prefix_len;                                                                               \
      (mp)->protocol = (vip)->protocol;                                                                                \
      (mp)->port = clib_host_to_net_u16 ((vip)->port);                                                                 \
    }                                                                                                                  \
  while (0)

/* ---- the calls ---- */

maglev_lb_status_t
maglev_shim_lb_settings (maglev_lb_settings_t *out, int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  maglev_lb_status_t status = MAGLEV_LB_BAD_REPLY;
  vl_api_lb_conf_get_t *mp = maglev_lb_request (lm, MAGLEV_LB_CONF_GET, sizeof (*mp));
  vl_api_lb_conf_get_reply_t *rmp;

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  maglev_lb_run (lm, mp, sizeof (*mp));
  rmp = maglev_lb_take (lm);
  if (rmp == 0)
    return MAGLEV_LB_NO_REPLY;
  if (maglev_lb_is (lm, rmp, MAGLEV_LB_CONF_GET_REPLY, sizeof (*rmp)))
    {
      *retval = (i32) clib_net_to_host_u32 (rmp->retval);
      clib_memcpy (out->ip4_src, rmp->ip4_src_address, sizeof (out->ip4_src));
      clib_memcpy (out->ip6_src, rmp->ip6_src_address, sizeof (out->ip6_src));
      out->sticky_buckets_per_core = clib_net_to_host_u32 (rmp->sticky_buckets_per_core);
      out->flow_timeout = clib_net_to_host_u32 (rmp->flow_timeout);
      status = MAGLEV_LB_OK;
    }
  vl_msg_api_free (rmp);
  return status;
}

maglev_lb_status_t
maglev_shim_lb_set_settings (const maglev_lb_settings_t *settings, int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_conf_t *mp = maglev_lb_request (lm, MAGLEV_LB_CONF, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  clib_memcpy (mp->ip4_src_address, settings->ip4_src, sizeof (settings->ip4_src));
  clib_memcpy (mp->ip6_src_address, settings->ip6_src, sizeof (settings->ip6_src));
  mp->sticky_buckets_per_core = clib_host_to_net_u32 (settings->sticky_buckets_per_core);
  mp->flow_timeout = clib_host_to_net_u32 (settings->flow_timeout);
  return maglev_lb_finish (lm, mp, sizeof (*mp), MAGLEV_LB_CONF_REPLY, retval);
}

maglev_lb_status_t
maglev_shim_lb_add_vip (const maglev_vip_t *vip, const maglev_vip_args_t *args, int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_add_del_vip_v2_t *mp = maglev_lb_request (lm, MAGLEV_LB_ADD_DEL_VIP_V2, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  MAGLEV_LB_ENCODE_VIP (vip, mp);
  mp->encap = clib_host_to_net_u32 (args->encap);
  mp->dscp = args->dscp;
  /* A node port would take over that UDP port of VPP itself. */
  mp->type = LB_API_SRV_TYPE_CLUSTERIP;
  mp->target_port = clib_host_to_net_u16 (args->target_port);
  mp->src_ip_sticky = args->src_ip_sticky != 0;
  mp->new_flows_table_length = clib_host_to_net_u32 (args->table_length);
  return maglev_lb_finish (lm, mp, sizeof (*mp), MAGLEV_LB_ADD_DEL_VIP_V2_REPLY, retval);
}

maglev_lb_status_t
maglev_shim_lb_del_vip (const maglev_vip_t *vip, int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_add_del_vip_v2_t *mp = maglev_lb_request (lm, MAGLEV_LB_ADD_DEL_VIP_V2, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  MAGLEV_LB_ENCODE_VIP (vip, mp);
  mp->is_del = 1;
  return maglev_lb_finish (lm, mp, sizeof (*mp), MAGLEV_LB_ADD_DEL_VIP_V2_REPLY, retval);
}

static maglev_lb_status_t
maglev_lb_add_del_as (const maglev_vip_t *vip, const maglev_address_t *address, u8 weight, u8 is_del, u8 flush,
		      int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_add_del_as_v2_t *mp = maglev_lb_request (lm, MAGLEV_LB_ADD_DEL_AS_V2, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  MAGLEV_LB_ENCODE_VIP (vip, mp);
  maglev_lb_encode_address (address, &mp->as_address);
  mp->weight = weight;
  mp->is_del = is_del;
  mp->is_flush = flush != 0;
  return maglev_lb_finish (lm, mp, sizeof (*mp), MAGLEV_LB_ADD_DEL_AS_V2_REPLY, retval);
}

maglev_lb_status_t
maglev_shim_lb_add_as (const maglev_vip_t *vip, const maglev_address_t *address, uint8_t weight, uint8_t flush,
		       int32_t *retval)
{
  return maglev_lb_add_del_as (vip, address, weight, 0 /* is_del */, flush, retval);
}

maglev_lb_status_t
maglev_shim_lb_del_as (const maglev_vip_t *vip, const maglev_address_t *address, uint8_t flush, int32_t *retval)
{
  return maglev_lb_add_del_as (vip, address, 0 /* weight */, 1 /* is_del */, flush, retval);
}

maglev_lb_status_t
maglev_shim_lb_set_weight (const maglev_vip_t *vip, const maglev_address_t *address, uint8_t weight, uint8_t flush,
			   int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_as_set_weight_t *mp = maglev_lb_request (lm, MAGLEV_LB_AS_SET_WEIGHT, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  MAGLEV_LB_ENCODE_VIP (vip, mp);
  maglev_lb_encode_address (address, &mp->as_address);
  mp->weight = weight;
  mp->is_flush = flush != 0;
  return maglev_lb_finish (lm, mp, sizeof (*mp), MAGLEV_LB_AS_SET_WEIGHT_REPLY, retval);
}

maglev_lb_status_t
maglev_shim_lb_flush_vip (const maglev_vip_t *vip, int32_t *retval)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_flush_vip_t *mp = maglev_lb_request (lm, MAGLEV_LB_FLUSH_VIP, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  MAGLEV_LB_ENCODE_VIP (vip, mp);
  return maglev_lb_finish (lm, mp, sizeof (*mp), MAGLEV_LB_FLUSH_VIP_REPLY, retval);
}

/* ---- dumps ---- */

maglev_lb_status_t
maglev_shim_lb_dump_vips (void)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_vip_dump_t *mp = maglev_lb_request (lm, MAGLEV_LB_VIP_DUMP, sizeof (*mp));

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  maglev_lb_run (lm, mp, sizeof (*mp));
  return MAGLEV_LB_OK;
}

int32_t
maglev_shim_lb_next_vip (maglev_vip_record_t *out)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_vip_details_t *mp = maglev_lb_take (lm);
  int32_t rv = -1;
  u32 encap;

  if (mp == 0)
    return 0;
  if (maglev_lb_is (lm, mp, MAGLEV_LB_VIP_DETAILS, sizeof (*mp)))
    {
      maglev_lb_decode_vip (&mp->vip, &out->vip);
      encap = clib_net_to_host_u32 (mp->encap);
      out->encap = encap <= MAGLEV_ENCAP_NAT6 ? (maglev_encap_t) encap : MAGLEV_ENCAP_OTHER;
      out->dscp = mp->dscp;
      out->target_port = clib_net_to_host_u16 (mp->target_port);
      out->table_length = clib_net_to_host_u16 (mp->flow_table_length);
      rv = 1;
    }
  vl_msg_api_free (mp);
  return rv;
}

maglev_lb_status_t
maglev_shim_lb_dump_as (const maglev_vip_t *vip)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_as_v2_dump_t *mp = maglev_lb_request (lm, MAGLEV_LB_AS_V2_DUMP, sizeof (*mp));
  u8 *bytes;

  if (mp == 0)
    return MAGLEV_LB_UNAVAILABLE;
  MAGLEV_LB_ENCODE_VIP (vip, mp);
  /* lb compares these sixteen bytes with its own form of an address without decoding them first. */
  bytes = (u8 *) &mp->pfx.address.un;
  clib_memset (bytes, 0, 16);
  if (vip->address.is_ip6)
    clib_memcpy (bytes, vip->address.bytes, 16);
  else
    clib_memcpy (bytes + 12, vip->address.bytes, 4);
  maglev_lb_run (lm, mp, sizeof (*mp));
  return MAGLEV_LB_OK;
}

int32_t
maglev_shim_lb_next_as (maglev_as_record_t *out)
{
  maglev_lb_main_t *lm = &maglev_lb_main;
  vl_api_lb_as_v2_details_t *mp = maglev_lb_take (lm);
  int32_t rv = -1;

  if (mp == 0)
    return 0;
  if (maglev_lb_is (lm, mp, MAGLEV_LB_AS_V2_DETAILS, sizeof (*mp)))
    {
      maglev_lb_decode_vip (&mp->vip, &out->vip);
      maglev_lb_decode_address (&mp->app_srv, &out->address);
      out->flags = mp->flags;
      out->weight = mp->weight;
      out->buckets = clib_net_to_host_u32 (mp->num_buckets);
      rv = 1;
    }
  vl_msg_api_free (mp);
  return rv;
}

/* ---- the barrier ---- */

void
maglev_shim_barrier_sync (void)
{
  vlib_worker_thread_barrier_sync (vlib_get_main ());
}

void
maglev_shim_barrier_release (void)
{
  vlib_worker_thread_barrier_release (vlib_get_main ());
}
