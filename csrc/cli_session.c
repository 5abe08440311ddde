/* SPDX-License-Identifier: Apache-2.0 */

/* The session that a command was typed in, while the command waits.

   VPP has no notion of a command that is put to sleep while its session goes on, and what it then does with the session
   damages its main heap. In line mode, which is what vppctl uses, the command is parsed where the session's input is read
   to. If the client sends more, or leaves, VPP grows that buffer, which moves it; and when the command is done, VPP clears
   what is left of the line at the old place, which is somebody else's by then. So nothing is read for a session while its
   command sleeps. */

#define _GNU_SOURCE /* dladdr */
#include <dlfcn.h>
#include <poll.h>
#include <string.h>
#include <vlibmemory/api.h>
#include <vlib/file.h>
#include "maglev.h"

/* What VPP calls the processes of its sessions. */
#define MAGLEV_SESSION_PROCESS "unix-cli-process-"

/* VPP's own, for as long as ours is in its place. */
static clib_file_function_t *maglev_session_vpp_read;

/* The socket's bytes stay in the kernel. It is edge-triggered meanwhile, so this is not called again and again. */
static clib_error_t *
maglev_session_held_read (clib_file_t *f)
{
  return 0;
}

static int
maglev_session_is_vlib (void *function)
{
  Dl_info vlib, owner;

  return dladdr (vlib_cli_output, &vlib) && dladdr (function, &owner) && owner.dli_fbase == vlib.dli_fbase;
}

/* The session's open file. VPP keeps its sessions to itself, but not its table of files: a session is the one of vlib's own
   that is written to and whose private data is the session's number. 0: closed. Looked up each time, since VPP may close it
   while we sleep. */
static clib_file_t *
maglev_session_file (maglev_session_t *s)
{
  clib_file_t **fp, *found = 0;

  if (!s->is_client)
    return 0;
  CLIB_SPINLOCK_LOCK (file_main.lock);
  pool_foreach (fp, file_main.file_pool)
    {
      clib_file_t *f = *fp;

      if (f->active && f->private_data == s->number && f->write_function && maglev_session_is_vlib (f->write_function))
	found = f;
    }
  CLIB_SPINLOCK_UNLOCK (file_main.lock);
  return found;
}

/* `may_wait`: may the process that runs this command be put to sleep? Not outside a process, not under the barrier (the workers would
   stand still for as long), not in the process that serves the binary API; and not within `exec` in a session: then VPP does
   not say which session it is, and keeps a pointer into its table of sessions, which moves when another one begins. */
maglev_session_t
maglev_session_begin (vlib_main_t *vm)
{
  vlib_process_t *process = vlib_get_current_process (vm);
  maglev_session_t s = {};
  u8 *name;

  if (process == 0 || process->node_runtime.node_index == vl_api_clnt_node.index)
    return s;
  if (vlib_get_n_threads () >= 2 && vlib_worker_threads[0].recursion_level != 0)
    return s;
  name = vlib_get_node (vm, process->node_runtime.node_index)->name;
  if (strncmp ((char *) name, MAGLEV_SESSION_PROCESS, sizeof (MAGLEV_SESSION_PROCESS) - 1) != 0)
    {
      s.may_wait = 1;
      return s;
    }
  if (process->output_function && maglev_session_is_vlib (process->output_function))
    {
      s.is_client = 1;
      s.number = process->output_function_arg;
      s.may_wait = maglev_session_file (&s) != 0;
    }
  return s;
}

static void
maglev_session_hold (maglev_session_t *s)
{
  clib_file_t *f = s->is_held ? 0 : maglev_session_file (s);

  if (f == 0)
    return;
  maglev_session_vpp_read = f->read_function;
  f->read_function = maglev_session_held_read;
  f->flags |= UNIX_FILE_EVENT_EDGE_TRIGGERED;
  file_main.file_update (f, UNIX_FILE_UPDATE_MODIFY);
  s->is_held = 1;
}

/* Sleeps. */
void
maglev_session_pause (vlib_main_t *vm, maglev_session_t *s, f64 seconds, maglev_stay_t *stay)
{
  maglev_session_hold (s);
  maglev_stay_end (MAGLEV_STAY_COMMAND, *stay);
  vlib_process_suspend (vm, seconds);
  *stay = maglev_stay_begin ();
}

maglev_reader_t
maglev_session_reader (maglev_session_t *s)
{
  clib_file_t *f = maglev_session_file (s);
  struct pollfd peer = {};

  if (f == 0)
    return s->is_client ? MAGLEV_READER_GONE : MAGLEV_READER_READY;
  peer.fd = f->file_descriptor;
  if (poll (&peer, 1, 0) > 0 && (peer.revents & (POLLHUP | POLLERR | POLLNVAL)))
    return MAGLEV_READER_GONE;
  return (f->flags & UNIX_FILE_DATA_AVAILABLE_TO_WRITE) ? MAGLEV_READER_BEHIND : MAGLEV_READER_READY;
}

/* VPP reads again, what came meanwhile included. */
void
maglev_session_end (maglev_session_t *s)
{
  clib_file_t *f = s->is_held ? maglev_session_file (s) : 0;

  s->is_held = 0;
  if (f == 0 || f->read_function != maglev_session_held_read)
    return;
  f->read_function = maglev_session_vpp_read;
  f->flags &= ~UNIX_FILE_EVENT_EDGE_TRIGGERED;
  file_main.file_update (f, UNIX_FILE_UPDATE_MODIFY);
}
