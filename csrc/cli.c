/* SPDX-License-Identifier: Apache-2.0 */

/* The commands: VPP finds them, Rust runs them, this file waits and prints. */

#include <vlibmemory/api.h>
#include "maglev.h"

/* An answer that takes time is asked for in steps that grow from the first to the last, in seconds. */
#define MAGLEV_CLI_FIRST_STEP 1e-3
#define MAGLEV_CLI_LAST_STEP  10e-3
#define MAGLEV_CLI_PATIENCE   60.0

/* May whoever runs this command be put to sleep? Not outside a process, not under the barrier (the workers would stand
   still for as long), and not in the process that serves the binary API. */
static int
maglev_cli_may_wait (vlib_main_t *vm)
{
  vlib_process_t *process = vlib_get_current_process (vm);

  if (process == 0)
    return 0;
  if (process->node_runtime.node_index == vl_api_clnt_node.index)
    return 0;
  return vlib_get_n_threads () < 2 || vlib_worker_threads[0].recursion_level == 0;
}

static void
maglev_cli_wait (vlib_main_t *vm, maglev_reply_t *reply, maglev_stay_t *stay)
{
  f64 deadline = vlib_time_now (vm) + MAGLEV_CLI_PATIENCE;
  f64 step = MAGLEV_CLI_FIRST_STEP;
  u64 ticket;

  while (reply->kind == MAGLEV_REPLY_PENDING && vlib_time_now (vm) < deadline)
    {
      maglev_stay_end (MAGLEV_STAY_COMMAND, *stay);
      vlib_process_suspend (vm, step);
      *stay = maglev_stay_begin ();
      step = clib_min (2 * step, MAGLEV_CLI_LAST_STEP);
      ticket = reply->ticket;
      maglev_rs_reply_free (reply);
      maglev_rs_cli_poll (ticket, reply);
    }
}

/* Errors are printed, not returned: VPP would put the command's path in front of what must begin with `error: `, and
   would run the parent command on what is left of the line. */
static clib_error_t *
maglev_cli_command (vlib_main_t *vm, unformat_input_t *input, vlib_cli_command_t *cmd)
{
  maglev_stay_t stay = maglev_stay_begin ();
  unformat_input_t line_input;
  maglev_reply_t reply = {};
  u8 *line = 0, *text = 0;
  int may_wait;

  /* VPP has made the path a vector, and normalised it. */
  vec_add (line, cmd->path, vec_len (cmd->path));
  if (unformat_user (input, unformat_line_input, &line_input))
    {
      vec_add1 (line, ' ');
      vec_add (line, line_input.buffer + line_input.index, vec_len (line_input.buffer) - line_input.index);
      unformat_free (&line_input);
    }

  may_wait = maglev_cli_may_wait (vm);
  maglev_rs_cli ((char *) line, vec_len (line), may_wait, &reply);
  vec_free (line);

  if (reply.kind == MAGLEV_REPLY_PENDING && may_wait)
    maglev_cli_wait (vm, &reply, &stay);
  if (reply.kind == MAGLEV_REPLY_PENDING)
    maglev_rs_cli_abandon (reply.ticket);

  vec_add (text, reply.text, reply.length);
  maglev_rs_reply_free (&reply);
  if (vec_len (text))
    vlib_cli_output (vm, "%v", text);
  vec_free (text);
  maglev_stay_end (MAGLEV_STAY_COMMAND, stay);
  return 0;
}

clib_error_t *
maglev_cli_init (vlib_main_t *vm)
{
  const char *path, *help;
  clib_error_t *error = 0;

  for (u32 i = 0; !error && maglev_rs_cli_path (i, &path, &help); i++)
    {
      /* VPP copies the command and the path, but keeps the help. */
      vlib_cli_command_t command = {
	.path = (char *) path,
	.short_help = (char *) help,
	.function = maglev_cli_command,
	.is_mp_safe = 1,
      };
      error = vlib_cli_register (vm, &command);
    }
  return error;
}
