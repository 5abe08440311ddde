/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What lb counts. Its counters are in VPP's statistics by the index of a VIP, which no message of lb tells, and the
 * flows of a server are in no message at all: both are in the text of its own command alone.
 */

#include "maglev.h"

static void
maglev_lb_text_add (uword arg, u8 *buffer, uword buffer_bytes)
{
  u8 **text = uword_to_pointer (arg, u8 **);

  vec_add (*text, buffer, buffer_bytes);
}

maglev_lb_status_t
maglev_shim_lb_vips_text (char **text, uint64_t *length)
{
  vlib_main_t *vm = vlib_get_main ();
  unformat_input_t input;
  u8 *out = 0;
  u64 began;
  int rv;

  *text = 0;
  *length = 0;
  /* VPP keeps where a command's output goes in the process that runs it. */
  if (vlib_get_current_process (vm) == 0)
    return MAGLEV_LB_UNAVAILABLE;
  unformat_init_string (&input, "show lb vips verbose", sizeof ("show lb vips verbose") - 1);
  began = clib_cpu_time_now ();
  rv = vlib_cli_input (vm, &input, maglev_lb_text_add, pointer_to_uword (&out));
  maglev_stays_main.in_lb += clib_cpu_time_now () - began;
  unformat_free (&input);
  *text = (char *) out;
  *length = vec_len (out);
  return rv ? MAGLEV_LB_BAD_REPLY : MAGLEV_LB_OK;
}

void
maglev_shim_lb_text_free (char *text)
{
  u8 *v = (u8 *) text;

  vec_free (v);
}
