/* SPDX-License-Identifier: Apache-2.0 */

/* One line into VPP's log. */

#include "maglev.h"

/* Lines a second. VPP's default of 50 would swallow most of a mass failure, and silently. */
#define MAGLEV_LOG_RATE_LIMIT 10000

static const vlib_log_level_t maglev_log_levels[] = {
  [MAGLEV_LOG_DEBUG] = VLIB_LOG_LEVEL_DEBUG,	 [MAGLEV_LOG_INFO] = VLIB_LOG_LEVEL_INFO,
  [MAGLEV_LOG_NOTICE] = VLIB_LOG_LEVEL_NOTICE,	 [MAGLEV_LOG_WARNING] = VLIB_LOG_LEVEL_WARNING,
  [MAGLEV_LOG_ERROR] = VLIB_LOG_LEVEL_ERR,
};

void
maglev_shim_log (maglev_log_level_t level, const char *text, uint64_t length)
{
  maglev_main_t *mm = &maglev_main;
  u8 *s = 0;

  if ((u32) level >= ARRAY_LEN (maglev_log_levels))
    level = MAGLEV_LOG_ERROR;
  maglev_shim_signals_hold ();
  vec_add (s, text, length);
  vlib_log (maglev_log_levels[level], mm->log_class, "%v", s);
  vec_free (s);
  maglev_shim_signals_release ();
}

static clib_error_t *
maglev_log_init (vlib_main_t *vm)
{
  maglev_main.log_class = vlib_log_register_class_rate_limit ("maglev", 0, MAGLEV_LOG_RATE_LIMIT);
  return 0;
}

VLIB_INIT_FUNCTION (maglev_log_init) = {
  .runs_before = VLIB_INITS ("maglev_init"),
};
