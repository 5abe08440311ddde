/* SPDX-License-Identifier: Apache-2.0 */

/* What the files of the shim share among themselves. */

#ifndef included_maglev_h
#define included_maglev_h

#include <vlib/vlib.h>
#include <maglev_shim.h>

typedef struct
{
  /* The start-up stanza: C strings. */
  u8 *config_path;
  u8 *state_path;
  /* `probe-cpu`: a bitmap. */
  clib_bitmap_t *probe_cpus;

  vlib_log_class_t log_class;
  u32 process_node_index;

  /* Written by our threads, read by VPP's file poller. */
  int wake_fd;
  u32 wake_file_index;

  /* The process node has been at work; cleared at exit. */
  u8 is_running;
} maglev_main_t;

extern maglev_main_t maglev_main;

/* cli.c: registers the commands that Rust names. */
clib_error_t *maglev_cli_init (vlib_main_t *vm);

/* api.c: tells subscribers what has happened. */
void maglev_api_send_events (void);
int maglev_stats_update (vlib_main_t *vm);

#endif /* included_maglev_h */
