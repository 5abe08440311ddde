/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Many servers of a VIP in one go: lb has no message for that, but its own command takes any number of them and rebuilds the
 * VIP's table once. All that gets into its text are addresses, numbers and words that are put there here.
 */

#include <vnet/ip/ip.h>
#include "maglev.h"

/* What the text of a server, and what lb makes of it, may take of VPP's main heap. */
#define MAGLEV_LB_TEXT_OF_A_SERVER 256

static void
maglev_lb_bulk_ignore (uword arg, u8 *buffer, uword buffer_bytes)
{
  (void) arg, (void) buffer, (void) buffer_bytes;
}

static u8 *
maglev_lb_bulk_format_address (u8 *s, va_list *va)
{
  const maglev_address_t *a = va_arg (*va, const maglev_address_t *);

  return format (s, "%U", a->is_ip6 ? format_ip6_address : format_ip4_address, a->bytes);
}

maglev_lb_status_t
maglev_shim_lb_servers (const maglev_vip_t *vip, const maglev_address_t *servers, uint32_t n, int32_t weight, uint8_t flush,
			int32_t *retval)
{
  vlib_main_t *vm = vlib_get_main ();
  unformat_input_t input;
  u64 began;
  u8 *line;

  /* VPP keeps where a command's output goes in the process that runs it. */
  if (vlib_get_current_process (vm) == 0 || !maglev_heap_has_room ((u64) (n + 16) * MAGLEV_LB_TEXT_OF_A_SERVER))
    return MAGLEV_LB_UNAVAILABLE;
  line = format (0, "lb as %U/%u", maglev_lb_bulk_format_address, &vip->address, vip->prefix_len);
  if (vip->port)
    line = format (line, " protocol %s port %u", vip->protocol == IP_PROTOCOL_UDP ? "udp" : "tcp", vip->port);
  for (u32 i = 0; i < n; i++)
    line = format (line, " %U", maglev_lb_bulk_format_address, servers + i);
  line = weight < 0 ? format (line, " del") : format (line, " weight %d", weight);
  if (flush)
    line = format (line, " flush");

  /* The input takes the text, and frees it. */
  unformat_init_vector (&input, line);
  began = clib_cpu_time_now ();
  *retval = vlib_cli_input (vm, &input, maglev_lb_bulk_ignore, 0);
  maglev_stays_main.in_lb += clib_cpu_time_now () - began;
  unformat_free (&input);
  return MAGLEV_LB_OK;
}
