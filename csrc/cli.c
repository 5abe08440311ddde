/* SPDX-License-Identifier: Apache-2.0 */

/* The commands: VPP finds them, Rust runs them, this file waits and prints. */

#define _GNU_SOURCE /* memrchr */
#include <stdio.h>
#include <string.h>
#include "maglev.h"

/* An answer that takes time is asked for in steps that grow from the first to the last, in seconds. */
#define MAGLEV_CLI_FIRST_STEP 1e-3
#define MAGLEV_CLI_LAST_STEP  10e-3
#define MAGLEV_CLI_PATIENCE   60.0

/* An answer is printed in pieces of so many bytes, each when its reader has taken those before: what a reader does not take
   at once, VPP copies to its main heap. */
#define MAGLEV_CLI_PIECE 16384
/* Seconds that a reader may take nothing: it may look at a page. */
#define MAGLEV_CLI_READER_PATIENCE 600.0
/* Seconds of printing at a time, and for how long others then have the thread. */
#define MAGLEV_CLI_SLICE 500e-6
#define MAGLEV_CLI_PAUSE 10e-6

/* Asks until the answer is there, or nobody waits for it any more. What was ordered is done all the same. */
static void
maglev_cli_wait (vlib_main_t *vm, maglev_session_t *session, maglev_reply_t *reply, maglev_stay_t *stay)
{
  f64 deadline = vlib_time_now (vm) + MAGLEV_CLI_PATIENCE;
  f64 step = MAGLEV_CLI_FIRST_STEP;
  u64 ticket;

  while (reply->kind == MAGLEV_REPLY_PENDING && vlib_time_now (vm) < deadline &&
	 maglev_session_reader (session) != MAGLEV_READER_GONE)
    {
      maglev_session_pause (vm, session, step, stay);
      step = clib_min (2 * step, MAGLEV_CLI_LAST_STEP);
      ticket = reply->ticket;
      maglev_rs_reply_free (reply);
      maglev_rs_cli_poll (ticket, reply);
    }
}

/* A caller that cannot wait has been told how it stands; one that has waited is told that it took too long. */
static void
maglev_cli_give_up (maglev_session_t *session, maglev_reply_t *reply)
{
  u64 ticket = reply->ticket;

  if (!session->may_wait)
    {
      maglev_rs_cli_abandon (ticket, 0);
      return;
    }
  maglev_rs_reply_free (reply);
  maglev_rs_cli_abandon (ticket, reply);
}

/* Writes text for the reader of this command, as it is: never as a format, and without a copy of ours in VPP's heap. */
static void
maglev_cli_write (vlib_main_t *vm, const char *text, u64 length)
{
  vlib_process_t *p = vlib_get_current_process (vm);

  if (p && p->output_function)
    p->output_function (p->output_function_arg, (u8 *) text, length);
  else
    fwrite (text, 1, length, stdout);
}

#define maglev_cli_write_literal(vm, text) maglev_cli_write (vm, text, sizeof (text) - 1)

/* Waits until the reader has taken what was written. 0: there is none any more, or none that reads. */
static int
maglev_cli_reader_wait (vlib_main_t *vm, maglev_session_t *session, maglev_stay_t *stay)
{
  f64 deadline = vlib_time_now (vm) + MAGLEV_CLI_READER_PATIENCE;
  f64 step = MAGLEV_CLI_FIRST_STEP / 4;
  maglev_reader_t reader;

  while ((reader = maglev_session_reader (session)) == MAGLEV_READER_BEHIND && vlib_time_now (vm) < deadline)
    {
      maglev_session_pause (vm, session, step, stay);
      step = clib_min (2 * step, MAGLEV_CLI_LAST_STEP);
    }
  return reader == MAGLEV_READER_READY;
}

/* A piece ends at a line's end where it has one. */
static u64
maglev_cli_piece (const char *text, u64 length)
{
  const char *end;

  if (length <= MAGLEV_CLI_PIECE)
    return length;
  end = memrchr (text, '\n', MAGLEV_CLI_PIECE);
  return end ? end + 1 - text : MAGLEV_CLI_PIECE;
}

/* Prints an answer. Whatever is copied on the way, VPP's main heap keeps its reserve. */
static void
maglev_cli_print (vlib_main_t *vm, const char *text, u64 length, maglev_session_t *session, maglev_stay_t *stay)
{
  f64 slice_ends = vlib_time_now (vm) + MAGLEV_CLI_SLICE;
  /* Whoever cannot wait takes all of it at once, and makes a message of it. */
  u64 at_once = session->may_wait ? 2 * MAGLEV_CLI_PIECE : 3 * length;
  u64 done = 0;

  while (done < length)
    {
      u64 piece = maglev_cli_piece (text + done, length - done);

      if (!maglev_heap_has_room (at_once))
	{
	  if (done == 0)
	    maglev_cli_write_literal (vm, "error: VPP's main heap is nearly full; nothing is shown\n");
	  else
	    maglev_cli_write_literal (vm, "\n(the rest is left out: VPP's main heap is nearly full)\n");
	  return;
	}
      maglev_cli_write (vm, text + done, piece);
      done += piece;
      if (!session->may_wait)
	continue;
      if (!maglev_cli_reader_wait (vm, session, stay))
	return;
      if (vlib_time_now (vm) >= slice_ends)
	{
	  maglev_session_pause (vm, session, MAGLEV_CLI_PAUSE, stay);
	  slice_ends = vlib_time_now (vm) + MAGLEV_CLI_SLICE;
	}
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
  maglev_session_t session;
  u8 *line = 0;

  /* VPP has made the path a vector, and normalised it. */
  vec_add (line, cmd->path, vec_len (cmd->path));
  if (unformat_user (input, unformat_line_input, &line_input))
    {
      vec_add1 (line, ' ');
      vec_add (line, line_input.buffer + line_input.index, vec_len (line_input.buffer) - line_input.index);
      unformat_free (&line_input);
    }

  session = maglev_session_begin (vm);
  maglev_rs_cli ((char *) line, vec_len (line), session.may_wait, &reply);
  vec_free (line);

  if (reply.kind == MAGLEV_REPLY_PENDING && session.may_wait)
    maglev_cli_wait (vm, &session, &reply, &stay);
  if (reply.kind == MAGLEV_REPLY_PENDING)
    maglev_cli_give_up (&session, &reply);

  maglev_cli_print (vm, reply.text, reply.length, &session, &stay);
  maglev_session_end (&session);
  maglev_rs_reply_free (&reply);
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
