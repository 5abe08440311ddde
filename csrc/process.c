/* SPDX-License-Identifier: Apache-2.0 */

/* The process node: it owns every wait. Rust takes turns in it and always returns first. */

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <vlib/vlib.h>
#include <vlib/unix/unix.h>
#include <vlib/file.h>
#include "maglev.h"

/* Between two turns of a busy engine, in seconds: long enough for the workers to go round, and above the 10 us that
   VPP's timer wheel takes for nothing at all. */
#define MAGLEV_BUSY_PAUSE 25e-6
/* VPP's timer wheel counts whole ticks of 10 us and drops the rest of a time, and counts them from when it was last looked
   at, which was before our turn. Without that and one more, every second turn would come a little before what it was to
   come for, find nothing, and go to sleep again. */
#define MAGLEV_TICK 10e-6
/* The longest sleep without being woken. */
#define MAGLEV_LONGEST_SLEEP 10.0

/* vpp's own, the one that version_required is compared with. */
extern char *vlib_plugin_app_version;

static const char maglev_default_config_path[] = "/etc/vpp/maglev.yaml";
static const char maglev_default_state_path[] = "/var/lib/vpp/maglev-state.json";

enum
{
  MAGLEV_EVENT_WAKE = 1,
};

static clib_error_t *
maglev_wake_read (clib_file_t *f)
{
  maglev_main_t *mm = &maglev_main;
  u64 count;

  /* Nothing to read is no error: somebody else's read came first. */
  if (read ((int) f->file_descriptor, &count, sizeof (count)) < 0 && errno != EAGAIN && errno != EINTR)
    return clib_error_return_unix (0, "maglev: eventfd");
  if (mm->is_running)
    vlib_process_signal_event (vlib_get_main (), mm->process_node_index, MAGLEV_EVENT_WAKE, 0);
  return 0;
}

static clib_error_t *
maglev_wake_init (maglev_main_t *mm)
{
  mm->wake_fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (mm->wake_fd < 0)
    return clib_error_return_unix (0, "eventfd");
  mm->wake_file_index = clib_file_add (&file_main, &(clib_file_t){
						     .file_descriptor = mm->wake_fd,
						     .read_function = maglev_wake_read,
						     .description = format (0, "maglev wake"),
						   });
  return 0;
}

static int
maglev_start (maglev_main_t *mm)
{
  vlib_thread_main_t *tm = vlib_get_thread_main ();
  maglev_start_t start = {};
  u32 *probe_cpus = 0, *worker_cpus = 0;
  uword cpu;
  int rv;

  clib_bitmap_foreach (cpu, mm->probe_cpus)
    vec_add1 (probe_cpus, cpu);
  for (u32 i = 1; i < vlib_get_n_threads (); i++)
    if (vlib_worker_threads[i].cpu_id >= 0)
      vec_add1 (worker_cpus, vlib_worker_threads[i].cpu_id);

  start.config_path = mm->config_path ? (char *) mm->config_path : maglev_default_config_path;
  start.state_path = mm->state_path ? (char *) mm->state_path : maglev_default_state_path;
  start.probe_cpus = probe_cpus;
  start.n_probe_cpus = vec_len (probe_cpus);
  start.worker_cpus = worker_cpus;
  start.n_worker_cpus = vec_len (worker_cpus);
  start.main_cpu = tm->main_lcore;
  start.wake_fd = mm->wake_fd;
  start.running_in = vlib_plugin_app_version;

  rv = maglev_rs_start (&start);

  vec_free (probe_cpus);
  vec_free (worker_cpus);
  return rv;
}

static uword
maglev_process (vlib_main_t *vm, vlib_node_runtime_t *rt, vlib_frame_t *f)
{
  maglev_main_t *mm = &maglev_main;
  clib_error_t *error;
  maglev_turn_t turn;
  uword *event_data = 0;
  maglev_stay_t stay;
  f64 sleep, began, again;

  mm->process_node_index = rt->node_index;

  maglev_shim_signals_hold ();
  if ((error = maglev_wake_init (mm)))
    {
      vlib_log_err (mm->log_class, "not started: %U", format_clib_error, error);
      clib_error_free (error);
    }
  else
    mm->is_running = maglev_start (mm) == 0;
  maglev_shim_signals_release ();
  if (!mm->is_running)
    return 0;

  while (1)
    {
      stay = maglev_stay_begin ();
      began = vlib_time_now (vm);
      turn.next = -1;
      turn.busy = 0;
      maglev_shim_signals_hold ();
      maglev_rs_turn (&turn);
      again = maglev_api_send_events (vm);
      if (again == 0)
	turn.busy = 1;
      if (maglev_stats_update (vm))
	turn.busy = 1;
      maglev_shim_signals_release ();
      /* VPP's reader of API sockets takes the end of a connection for "nothing to read" while errno is EAGAIN from whatever call
	 failed last, such as a write to a client that does not read; it would spin on that socket from then on. */
      errno = 0;
      maglev_stay_end (MAGLEV_STAY_TURN, stay);

      if (turn.busy)
	vlib_process_suspend (vm, MAGLEV_BUSY_PAUSE);
      else
	{
	  sleep = turn.next < 0 ? MAGLEV_LONGEST_SLEEP : turn.next + (vlib_time_now (vm) - began) + MAGLEV_TICK;
	  if (again > 0)
	    sleep = clib_min (sleep, again);
	  sleep = clib_max (MAGLEV_BUSY_PAUSE, clib_min (sleep, MAGLEV_LONGEST_SLEEP));
	  vlib_process_wait_for_event_or_clock (vm, sleep);
	}

      vlib_process_get_events (vm, &event_data);
      vec_reset_length (event_data);
    }

  return 0;
}

VLIB_REGISTER_NODE (maglev_process_node, static) = {
  .function = maglev_process,
  .type = VLIB_NODE_TYPE_PROCESS,
  .name = "maglev-process",
  /* 256 KiB, as for VPP's API handlers. */
  .process_log2_n_stack_bytes = 18,
};
