/* SPDX-License-Identifier: Apache-2.0 */

/* Signals held back while the plugin runs on the main thread.

   VPP's handler calls syslog, formats, and for most signals exits: it takes the locks of syslog, of stdio and of the main heap,
   none of which may be taken twice by one thread. A signal that comes while the plugin logs or allocates would hang VPP for good,
   so that it waits until the plugin returns. What a fault of the thread itself raises cannot be held back and is not. */

#include <signal.h>
#include "maglev.h"

static const int maglev_faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };

/* Of the main thread alone. */
static u32 maglev_signals_depth;
static sigset_t maglev_signals_before;

void
maglev_shim_signals_hold (void)
{
  sigset_t held;

  if (maglev_signals_depth++)
    return;
  sigfillset (&held);
  for (u32 i = 0; i < ARRAY_LEN (maglev_faults); i++)
    sigdelset (&held, maglev_faults[i]);
  pthread_sigmask (SIG_BLOCK, &held, &maglev_signals_before);
}

void
maglev_shim_signals_release (void)
{
  ASSERT (maglev_signals_depth);
  if (--maglev_signals_depth == 0)
    pthread_sigmask (SIG_SETMASK, &maglev_signals_before, 0);
}
