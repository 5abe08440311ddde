/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What FIB 0 says of an address. A server that VPP itself or a VIP of lb has is a forwarding loop: lb would send each packet
 * for it back into VPP, which dies of the first.
 *
 * Which VIP a packet belongs to is in the FIB, too, and in a public table of lb's by prefix and port: so the index of a VIP can
 * be told without lb.
 */

#include <vlib/vlib.h>
#include <vnet/dpo/load_balance.h>
#include <vnet/fib/fib_entry.h>
#include <vnet/fib/fib_table.h>
#include <vnet/ip/ip.h>
#include <vppinfra/bihash_8_8.h>
#include "maglev.h"

/* Routes by way of routes are followed so far: the FIB itself allows no circles. */
#define MAGLEV_FIB_DEPTH 16

static void
maglev_fib_prefix (const maglev_address_t *address, fib_prefix_t *out)
{
  clib_memset (out, 0, sizeof (*out));
  out->fp_proto = address->is_ip6 ? FIB_PROTOCOL_IP6 : FIB_PROTOCOL_IP4;
  out->fp_len = address->is_ip6 ? 128 : 32;
  if (address->is_ip6)
    clib_memcpy (&out->fp_addr.ip6, address->bytes, 16);
  else
    clib_memcpy (&out->fp_addr.ip4, address->bytes, 4);
}

/* Whether packets of this DPO, a bucket of a load-balance, go to a node of lb's: its DPOs have no names. */
static int
maglev_fib_is_lb (const dpo_id_t *dpo, int is_ip6)
{
  vlib_main_t *vm = vlib_get_main ();
  u32 lookup = is_ip6 ? ip6_lookup_node.index : ip4_lookup_node.index;
  vlib_node_t *from = vlib_get_node (vm, lookup);
  vlib_node_t *to;

  /* All others are VPP's own. */
  if (dpo->dpoi_type < DPO_LAST || dpo->dpoi_next_node >= vec_len (from->next_nodes))
    return 0;
  to = vlib_get_next_node (vm, lookup, dpo->dpoi_next_node);
  return vec_len (to->name) > 4 && (memcmp (to->name, "lb4-", 4) == 0 || memcmp (to->name, "lb6-", 4) == 0);
}

static maglev_reach_t
maglev_fib_follow (const dpo_id_t *dpo, int is_ip6, u32 depth)
{
  const load_balance_t *lb;
  maglev_reach_t reach;

  if (dpo->dpoi_type == DPO_RECEIVE)
    return MAGLEV_REACH_LOCAL;
  if (maglev_fib_is_lb (dpo, is_ip6))
    return MAGLEV_REACH_VIP;
  if (dpo->dpoi_type != DPO_LOAD_BALANCE || depth == MAGLEV_FIB_DEPTH)
    return MAGLEV_REACH_AWAY;
  lb = load_balance_get (dpo->dpoi_index);
  for (u32 i = 0; i < lb->lb_n_buckets; i++)
    {
      reach = maglev_fib_follow (load_balance_get_bucket_i (lb, i), is_ip6, depth + 1);
      if (reach != MAGLEV_REACH_AWAY)
	return reach;
    }
  return MAGLEV_REACH_AWAY;
}

maglev_reach_t
maglev_shim_reach (const maglev_address_t *address)
{
  fib_node_index_t entry;
  fib_prefix_t prefix;

  maglev_fib_prefix (address, &prefix);
  entry = fib_table_lookup (0, &prefix);
  if (entry == FIB_NODE_INDEX_INVALID)
    return MAGLEV_REACH_AWAY;
  return maglev_fib_follow (fib_entry_contribute_ip_forwarding (entry), address->is_ip6, 0);
}

/* lb's table of VIPs by prefix and port; none: this lb has none of that name. */
static clib_bihash_8_8_t *
maglev_fib_vips_by_port (void)
{
  static const char name[] = "vip_index_per_port";
  static clib_bihash_8_8_t *found;
  void **hash;

  if (found == 0)
    vec_foreach (hash, clib_all_bihashes)
      {
	/* Of whatever size keys and values are, these come first. */
	clib_bihash_8_8_t *h = *hash;
	if (h->name && strcmp ((char *) h->name, name) == 0)
	  found = h;
      }
  return found;
}

uint8_t
maglev_shim_lb_vip_index (const maglev_vip_t *vip, uint32_t *index)
{
  /* As lb makes the key: network byte order, but for the prefix's number. */
  union
  {
    struct
    {
      u32 prefix_index;
      u16 port;
      u8 protocol;
      u8 reserved;
    };
    u64 as_u64;
  } key = {};
  clib_bihash_8_8_t *by_port;
  clib_bihash_kv_8_8_t kv;
  fib_node_index_t entry;
  fib_prefix_t prefix;
  const dpo_id_t *dpo;

  maglev_fib_prefix (&vip->address, &prefix);
  entry = fib_table_lookup_exact_match (0, &prefix);
  if (entry == FIB_NODE_INDEX_INVALID)
    return 0;
  dpo = fib_entry_contribute_ip_forwarding (entry);
  if (dpo->dpoi_type != DPO_LOAD_BALANCE || load_balance_get (dpo->dpoi_index)->lb_n_buckets != 1)
    return 0;
  dpo = load_balance_get_bucket_i (load_balance_get (dpo->dpoi_index), 0);
  if (!maglev_fib_is_lb (dpo, vip->address.is_ip6))
    return 0;
  if (vip->port == 0)
    {
      *index = dpo->dpoi_index;
      return 1;
    }
  if ((by_port = maglev_fib_vips_by_port ()) == 0)
    return 0;
  key.prefix_index = dpo->dpoi_index;
  key.port = clib_host_to_net_u16 (vip->port);
  key.protocol = vip->protocol;
  kv.key = key.as_u64;
  if (clib_bihash_search_inline_8_8 (by_port, &kv))
    return 0;
  *index = kv.value;
  return 1;
}
