/* SPDX-License-Identifier: Apache-2.0 */

/* The stats segment: tables of names and counter vectors below /maglev, as VPP does for /if/names. One vector a metric
   and not one entry a number: an entry takes more room than the names, numbers and all of a backend. */

#include <vlib/vlib.h>
#include <vlib/stats/stats.h>
#include "maglev.h"

/* Between two updates, in seconds. */
#define MAGLEV_STATS_PERIOD 1.0
#define MAGLEV_STATS_MAX_METRICS 16

typedef struct
{
  vlib_stats_string_vector_t names;
  u32 n_names;
  u32 n_metrics;
  u32 entry_index[MAGLEV_STATS_MAX_METRICS];
} maglev_stats_table_t;

typedef struct
{
  f64 last;
  u64 generation;
  u8 is_made;
  maglev_stats_table_t tables[MAGLEV_STATS_N_TABLES];
} maglev_stats_main_t;

static maglev_stats_main_t maglev_stats_main;

static void
maglev_stats_make (maglev_stats_main_t *sm)
{
  const char *table, *metric;

  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    {
      maglev_stats_table_t *st = sm->tables + t;

      for (u32 m = 0; m < MAGLEV_STATS_MAX_METRICS && maglev_rs_stats_metric (t, m, &table, &metric); m++)
	{
	  if (m == 0)
	    st->names = vlib_stats_add_string_vector ("/maglev/%s/names", table);
	  st->entry_index[m] = vlib_stats_add_counter_vector ("/maglev/%s/%s", table, metric);
	  st->n_metrics = m + 1;
	}
    }
  sm->is_made = 1;
}

static void
maglev_stats_names (maglev_stats_table_t *st, u32 t, u32 n_rows)
{
  u8 name[MAGLEV_STATS_NAME_SIZE] = {};
  u32 length;

  for (u32 row = 0; row < n_rows; row++)
    {
      length = maglev_rs_stats_name (t, row, name, sizeof (name));
      vlib_stats_set_string_vector (&st->names, row, "%.*s", (int) length, (char *) name);
    }
  for (u32 row = n_rows; row < st->n_names; row++)
    vlib_stats_set_string_vector (&st->names, row, "");
  st->n_names = n_rows;
}

static void
maglev_stats_numbers (maglev_stats_table_t *st, u32 t, u32 n_rows)
{
  counter_t **data;

  for (u32 m = 0; m < st->n_metrics; m++)
    {
      vlib_stats_validate (st->entry_index[m], 0, clib_max (n_rows, 1) - 1);
      data = vlib_stats_get_entry_data_pointer (st->entry_index[m]);
      maglev_rs_stats_fill (t, m, data[0], vec_len (data[0]));
    }
}

void
maglev_stats_update (vlib_main_t *vm)
{
  maglev_stats_main_t *sm = &maglev_stats_main;
  f64 now = vlib_time_now (vm);
  maglev_stats_t picture = {};

  /* The prober's beat wakes the process about once a second. */
  if (sm->is_made && now < sm->last + MAGLEV_STATS_PERIOD)
    return;
  sm->last = now;
  if (!maglev_rs_stats_take (&picture))
    return;
  if (!sm->is_made)
    {
      maglev_stats_make (sm);
      sm->generation = ~0ULL;
    }
  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    {
      if (picture.generation != sm->generation)
	maglev_stats_names (sm->tables + t, t, picture.n_rows[t]);
      maglev_stats_numbers (sm->tables + t, t, picture.n_rows[t]);
    }
  sm->generation = picture.generation;
}
