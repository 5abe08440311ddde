/* SPDX-License-Identifier: Apache-2.0 */

/* The start-up stanza: maglev { config <path> state-file <path> probe-cpu <list> }. */

#include <vppinfra/bitmap.h>
#include <vppinfra/unix.h>
#include "maglev.h"

static clib_error_t *
maglev_config (vlib_main_t *vm, unformat_input_t *input)
{
  maglev_main_t *mm = &maglev_main;
  clib_bitmap_t *online, *unknown;
  uword first;
  u8 *s;

  while (unformat_skip_white_space (input), unformat_check_input (input) != UNFORMAT_END_OF_INPUT)
    {
      if (unformat (input, "config %s", &s))
	{
	  vec_free (mm->config_path);
	  mm->config_path = s;
	}
      else if (unformat (input, "state-file %s", &s))
	{
	  vec_free (mm->state_path);
	  mm->state_path = s;
	}
      else if (unformat (input, "probe-cpu %U", unformat_bitmap_list, &mm->probe_cpus))
	;
      else if (unformat (input, "config") || unformat (input, "state-file"))
	return clib_error_return (0, "maglev: a path is missing");
      else if (unformat (input, "probe-cpu"))
	return clib_error_return (0, "maglev: probe-cpu: no list of CPUs: `%U'", format_unformat_error, input);
      else
	return clib_error_return (0, "maglev: unknown input `%U'", format_unformat_error, input);
    }

  if (mm->probe_cpus && (online = os_get_online_cpu_core_bitmap ()))
    {
      unknown = clib_bitmap_andnot (clib_bitmap_dup (mm->probe_cpus), online);
      first = clib_bitmap_first_set (unknown);
      clib_bitmap_free (unknown);
      clib_bitmap_free (online);
      if (first != ~0)
	return clib_error_return (0, "maglev: probe-cpu %wu: there is no such CPU", first);
    }

  return 0;
}

/* Early: before VPP goes into the background, so that an error is seen, and VPP's exit status is not 0. */
VLIB_EARLY_CONFIG_FUNCTION (maglev_config, "maglev");
