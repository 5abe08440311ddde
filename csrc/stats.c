/* SPDX-License-Identifier: Apache-2.0 */

/* The stats segment: tables of names and counter vectors below /maglev, as VPP does for /if/names. One vector a metric
   and not one entry a number: an entry takes more room than the names, numbers and all of a backend. */

#include <vlib/vlib.h>
#include <vlib/stats/stats.h>
#include "maglev.h"

/* Between two updates, in seconds. */
#define MAGLEV_STATS_PERIOD 1.0
/* Names that are set in one turn: with tens of thousands the main thread would stand still for all of them. */
#define MAGLEV_STATS_NAMES_PER_TURN 1000
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
  /* Names are being set: so far those before this row of this table. */
  u8 is_naming;
  u32 table, row;
  /* Of the picture that was taken last. */
  u32 n_rows[MAGLEV_STATS_N_TABLES];
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
}

/* Sets some names. Non-zero: all are set. */
static int
maglev_stats_name_some (maglev_stats_main_t *sm)
{
  u8 name[MAGLEV_STATS_NAME_SIZE] = {};
  u32 left = MAGLEV_STATS_NAMES_PER_TURN;
  u32 length, n_rows;

  for (; sm->table < MAGLEV_STATS_N_TABLES; sm->table++, sm->row = 0)
    {
      maglev_stats_table_t *st = sm->tables + sm->table;

      n_rows = sm->n_rows[sm->table];
      for (; sm->row < clib_max (n_rows, st->n_names); sm->row++)
	{
	  if (left-- == 0)
	    return 0;
	  if (sm->row < n_rows)
	    {
	      length = maglev_rs_stats_name (sm->table, sm->row, name, sizeof (name));
	      vlib_stats_set_string_vector (&st->names, sm->row, "%.*s", (int) length, (char *) name);
	    }
	  else
	    vlib_stats_set_string_vector (&st->names, sm->row, "");
	  /* Should another picture come before this one is done, it finds these, too. */
	  st->n_names = clib_max (st->n_names, sm->row + 1);
	}
      st->n_names = n_rows;
    }
  return 1;
}

/* No number stands beside a name that it does not belong to. */
static void
maglev_stats_zero (maglev_stats_main_t *sm)
{
  counter_t **data;

  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    for (u32 m = 0; m < sm->tables[t].n_metrics; m++)
      {
	data = vlib_stats_get_entry_data_pointer (sm->tables[t].entry_index[m]);
	if (data && data[0])
	  clib_memset_u64 (data[0], 0, vec_len (data[0]));
      }
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

int
maglev_stats_update (vlib_main_t *vm)
{
  maglev_stats_main_t *sm = &maglev_stats_main;
  f64 now = vlib_time_now (vm);
  maglev_stats_t picture = {};
  int taken;

  /* The prober's beat wakes the process about once a second. */
  if (!sm->is_naming && sm->is_made && now < sm->last + MAGLEV_STATS_PERIOD)
    return 0;
  if (!sm->is_naming)
    {
      if ((taken = maglev_rs_stats_take (&picture)) != 1)
	return taken == 2;
      sm->last = now;
      for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
	sm->n_rows[t] = picture.n_rows[t];
      if (!sm->is_made)
	maglev_stats_make (sm);
      if (!sm->is_made || picture.generation != sm->generation)
	{
	  maglev_stats_zero (sm);
	  sm->is_naming = 1;
	  sm->table = sm->row = 0;
	}
      sm->is_made = 1;
      sm->generation = picture.generation;
    }
  if (sm->is_naming)
    {
      if (!maglev_stats_name_some (sm))
	return 1;
      sm->is_naming = 0;
    }
  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    maglev_stats_numbers (sm->tables + t, t, sm->n_rows[t]);
  return 0;
}
