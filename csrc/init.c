/* SPDX-License-Identifier: Apache-2.0 */

/* Birth and death: the init and exit functions, and the registration's layout. */

#include <stddef.h>
#include <unistd.h>
#include <vlib/unix/plugin.h>
#include <vppinfra/file.h>
#include "maglev.h"

maglev_main_t maglev_main = { .wake_fd = -1, .wake_file_index = ~0, .process_node_index = ~0 };

/* The registration itself is in src/plugin/registration.rs. */
STATIC_ASSERT (sizeof (maglev_plugin_registration_t) == sizeof (vlib_plugin_registration_t),
	       "registration: size");
STATIC_ASSERT (__alignof__ (maglev_plugin_registration_t) == __alignof__ (vlib_plugin_registration_t),
	       "registration: alignment");
STATIC_ASSERT (offsetof (maglev_plugin_registration_t, version) ==
		 offsetof (vlib_plugin_registration_t, version),
	       "registration: version");
STATIC_ASSERT (offsetof (maglev_plugin_registration_t, version_required) ==
		 offsetof (vlib_plugin_registration_t, version_required),
	       "registration: version_required");
STATIC_ASSERT (offsetof (maglev_plugin_registration_t, overrides) ==
		 offsetof (vlib_plugin_registration_t, overrides),
	       "registration: overrides");
STATIC_ASSERT (offsetof (maglev_plugin_registration_t, early_init) ==
		 offsetof (vlib_plugin_registration_t, early_init),
	       "registration: early_init");
STATIC_ASSERT (offsetof (maglev_plugin_registration_t, description) ==
		 offsetof (vlib_plugin_registration_t, description),
	       "registration: description");
STATIC_ASSERT (offsetof (maglev_plugin_registration_t, load_after) ==
		 offsetof (vlib_plugin_registration_t, load_after),
	       "registration: load_after");

static clib_error_t *
maglev_init (vlib_main_t *vm)
{
  /* VPP has gone into the background by now: this thread is main for good. */
  maglev_rs_init ();
  return maglev_cli_init (vm);
}

VLIB_INIT_FUNCTION (maglev_init);

static clib_error_t *
maglev_exit (vlib_main_t *vm)
{
  maglev_main_t *mm = &maglev_main;

  mm->is_running = 0;
  maglev_rs_stop ();
  return 0;
}

VLIB_MAIN_LOOP_EXIT_FUNCTION (maglev_exit);
