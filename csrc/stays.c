/* SPDX-License-Identifier: Apache-2.0 */

/* How long we stay on VPP's main thread at a time, and how much of that is within lb's own handlers. */

#include "maglev.h"

maglev_stays_main_t maglev_stays_main;

void
maglev_shim_stays (maglev_stay_kind_t kind, uint8_t clear, maglev_stays_t *out)
{
  maglev_stays_main_t *sm = &maglev_stays_main;
  maglev_stays_t none = {};
  f64 us = 1e6 * vlib_get_main ()->clib_time.seconds_per_clock;

  *out = none;
  if (kind >= MAGLEV_N_STAYS)
    return;
  out->n = sm->kinds[kind].n;
  out->own_us = us * sm->kinds[kind].own;
  out->lb_us = us * sm->kinds[kind].in_lb;
  out->longest_own_us = us * sm->kinds[kind].longest_own;
  out->longest_lb_us = us * sm->kinds[kind].longest_in_lb;
  out->longest_us = us * sm->kinds[kind].longest;
  if (clear)
    clib_memset (sm->kinds + kind, 0, sizeof (sm->kinds[kind]));
}
