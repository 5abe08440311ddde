/* SPDX-License-Identifier: Apache-2.0 */

/* The stats segment: tables of names and counter vectors below /maglev, as VPP does for /if/names. One vector a metric
   and not one entry a number: an entry takes more room than the names, numbers and all of a backend.

   VPP's own functions for names and counters abort when the segment is full. So all names and numbers lie in one block, taken with
   the one function that can fail, laid out by Rust (src/control/stats_plan.rs), filled out of readers' sight, in pieces, and then
   shown in the place of the block before. A table or metric that is left out is an empty vector. */

#include <vlib/vlib.h>
#include <vlib/stats/stats.h>
#include "maglev.h"

/* Between two updates, in seconds. */
#define MAGLEV_STATS_PERIOD 1.0
/* What is done in one turn, so that the main thread never stands still for all rows. */
#define MAGLEV_STATS_NAMES_PER_TURN 1000
#define MAGLEV_STATS_NUMBERS_PER_TURN 32768
/* Where something was left out: between two measurements of whether there is room now, in seconds, and how much more, in bytes. */
#define MAGLEV_STATS_GROWTH_PERIOD 10.0
#define MAGLEV_STATS_GROWTH (512 << 10)

STATIC_ASSERT (sizeof (vec_header_t) == MAGLEV_STATS_VECTOR_HEADER, "stats: header of a vector");
STATIC_ASSERT (CLIB_CACHE_LINE_BYTES <= MAGLEV_STATS_VECTOR_ALIGN, "stats: alignment of a vector");

typedef enum
{
  MAGLEV_STATS_TAKE = 0, /* taking a picture of the numbers */
  MAGLEV_STATS_NAMES,	 /* writing names to a new block */
  MAGLEV_STATS_NUMBERS,	 /* writing numbers to the block */
} maglev_stats_phase_t;

typedef struct
{
  u32 names_index;
  u8 **no_names;
  u32 n_metrics;
  u32 entry_index[MAGLEV_STATS_MAX_METRICS];
  counter_t *no_numbers[MAGLEV_STATS_MAX_METRICS];
} maglev_stats_table_t;

typedef struct
{
  maglev_stats_phase_t phase;
  f64 last, last_growth;
  /* The entries have been added to VPP's directory. */
  u8 is_made;
  /* They cannot be: somebody has taken their names. */
  u8 is_refused;
  /* The block is not shown yet. */
  u8 is_new;
  /* A new block is due: what VPP has left, or has left free, asks for another plan. */
  u8 is_due;
  /* Of the picture that was taken last. */
  u64 generation;
  u32 n_rows[MAGLEV_STATS_N_TABLES];
  /* The block that is shown or being filled, and the one that is shown meanwhile. */
  u8 *block, *before;
  maglev_stats_plan_t plan;
  /* The largest free piece when the block had been taken. */
  u64 largest;
  /* What is written next. */
  u32 table, metric, row;
  u64 string_at;
  maglev_stats_table_t tables[MAGLEV_STATS_N_TABLES];
} maglev_stats_main_t;

static maglev_stats_main_t maglev_stats_main;

/* ---- room ---- */

static int
maglev_stats_has_room (u64 bytes)
{
  void *heap = vlib_stats_get_segment ()->heap;
  void *p = clib_mem_heap_alloc_or_null (heap, bytes);

  if (p)
    clib_mem_heap_free (heap, p);
  return p != 0;
}

/* The sum of all free pieces would say nothing, and asking VPP for it walks the whole heap. */
static u64
maglev_stats_largest (u64 size)
{
  u64 fits = 0, not = size, step = clib_max (size >> 12, 1 << 10), middle;

  while (not -fits > step)
    {
      middle = fits + (not -fits) / 2;
      if (maglev_stats_has_room (middle))
	fits = middle;
      else
	not = middle;
    }
  return fits;
}

static maglev_stats_room_t
maglev_stats_room (void)
{
  vlib_stats_segment_t *segment = vlib_stats_get_segment ();
  maglev_stats_room_t room = {
    .size = segment->memory_size ? segment->memory_size : STAT_SEGMENT_DEFAULT_SIZE,
    .directory = vec_mem_size (segment->directory_vector),
  };

  room.largest = maglev_stats_largest (room.size);
  return room;
}

/* The block, with the reserve left free in one piece. */
static u8 *
maglev_stats_allocate (const maglev_stats_plan_t *plan)
{
  void *heap = vlib_stats_get_segment ()->heap;
  void *reserve = clib_mem_heap_alloc_or_null (heap, plan->reserve);
  u8 *block;

  if (reserve == 0)
    return 0;
  block = clib_mem_heap_alloc_aligned_or_null (heap, plan->bytes, MAGLEV_STATS_VECTOR_ALIGN);
  clib_mem_heap_free (heap, reserve);
  return block;
}

static void
maglev_stats_free (u8 **block)
{
  if (*block)
    clib_mem_heap_free (vlib_stats_get_segment ()->heap, *block);
  *block = 0;
}

/* ---- the entries in VPP's directory ---- */

/* Adds the entries, each with an empty vector. VPP's directory may grow by it, for which the reserve is large enough. */
static void
maglev_stats_make (maglev_stats_main_t *sm)
{
  const char *table, *metric;
  counter_t **data;

  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    {
      maglev_stats_table_t *st = sm->tables + t;

      for (u32 m = 0; m < MAGLEV_STATS_MAX_METRICS && maglev_rs_stats_metric (t, m, &table, &metric); m++)
	{
	  if (m == 0)
	    {
	      st->no_names = vlib_stats_add_string_vector ("/maglev/%s/names", table);
	      if (st->no_names == 0)
		goto refused;
	      st->names_index = ((vlib_stats_header_t *) vec_header (st->no_names))->entry_index;
	    }
	  st->entry_index[m] = vlib_stats_add_counter_vector ("/maglev/%s/%s", table, metric);
	  if (st->entry_index[m] == CLIB_U32_MAX)
	    goto refused;
	  vlib_stats_validate (st->entry_index[m], 0, 0);
	  data = vlib_stats_get_entry_data_pointer (st->entry_index[m]);
	  vec_set_len (data[0], 0);
	  st->no_numbers[m] = data[0];
	  st->n_metrics = m + 1;
	}
    }
  sm->is_made = 1;
  return;

refused:
  sm->is_refused = 1;
  vlib_log_err (maglev_main.log_class, "stats segment: there is an entry below /maglev already; nothing is published");
}

/* Shows a block to the readers; 0: empty tables. */
static void
maglev_stats_show (maglev_stats_main_t *sm, u8 *block)
{
  vlib_stats_segment_t *segment = vlib_stats_get_segment ();
  counter_t **data;

  vlib_stats_segment_lock ();
  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    {
      maglev_stats_table_t *st = sm->tables + t;
      maglev_stats_place_t *place = sm->plan.places + t;

      vlib_stats_get_entry (segment, st->names_index)->string_vector =
	block && place->names_at ? (u8 **) (block + place->names_at) : st->no_names;
      for (u32 m = 0; m < st->n_metrics; m++)
	{
	  data = vlib_stats_get_entry_data_pointer (st->entry_index[m]);
	  data[0] = block && place->metrics_at[m] ? (counter_t *) (block + place->metrics_at[m]) : st->no_numbers[m];
	}
    }
  vlib_stats_segment_unlock ();
}

/* ---- the contents of a block ---- */

static void
maglev_stats_header (u8 *vector, u32 length)
{
  vec_header_t *header = (vec_header_t *) vector - 1;

  *header = (vec_header_t){ .len = length, .hdr_size = 1, .log2_align = min_log2 (VEC_MIN_ALIGN) };
}

static void
maglev_stats_headers (maglev_stats_main_t *sm)
{
  for (u32 t = 0; t < MAGLEV_STATS_N_TABLES; t++)
    {
      maglev_stats_place_t *place = sm->plan.places + t;

      if (place->names_at)
	maglev_stats_header (sm->block + place->names_at, sm->n_rows[t]);
      for (u32 m = 0; m < sm->tables[t].n_metrics; m++)
	if (place->metrics_at[m])
	  maglev_stats_header (sm->block + place->metrics_at[m], sm->n_rows[t]);
    }
}

/* Writes one name behind the one before; no further than there is room. */
static u8 *
maglev_stats_name (maglev_stats_main_t *sm, u64 end)
{
  u8 *name = sm->block + sm->string_at + sizeof (vec_header_t);
  u64 room = end - sm->string_at;
  u32 length;

  if (room < sizeof (vec_header_t) + 1)
    return 0;
  length = maglev_rs_stats_name (sm->table, sm->row, name, room - sizeof (vec_header_t) - 1);
  name[length] = 0;
  maglev_stats_header (name, length + 1);
  sm->string_at += round_pow2 (sizeof (vec_header_t) + length + 1, VEC_MIN_ALIGN);
  return name;
}

/* Writes some names. Non-zero: all are written. */
static int
maglev_stats_name_some (maglev_stats_main_t *sm)
{
  u32 left = MAGLEV_STATS_NAMES_PER_TURN;

  for (; sm->table < MAGLEV_STATS_N_TABLES; sm->table++, sm->row = 0)
    {
      maglev_stats_place_t *place = sm->plan.places + sm->table;
      u8 **names = (u8 **) (sm->block + place->names_at);

      if (place->names_at == 0)
	continue;
      if (sm->row == 0)
	sm->string_at = place->strings_at;
      for (; sm->row < sm->n_rows[sm->table]; sm->row++)
	{
	  if (left-- == 0)
	    return 0;
	  names[sm->row] = maglev_stats_name (sm, place->strings_end);
	}
    }
  return 1;
}

/* Writes some numbers. Non-zero: all are written. */
static int
maglev_stats_number_some (maglev_stats_main_t *sm)
{
  u32 left = MAGLEV_STATS_NUMBERS_PER_TURN;

  for (; sm->table < MAGLEV_STATS_N_TABLES; sm->table++, sm->metric = 0)
    for (; sm->metric < sm->tables[sm->table].n_metrics; sm->metric++, sm->row = 0)
      {
	u64 at = sm->plan.places[sm->table].metrics_at[sm->metric];
	u32 n = clib_min (left, sm->n_rows[sm->table] - sm->row);

	if (at == 0)
	  continue;
	maglev_rs_stats_fill (sm->table, sm->metric, sm->row, (u64 *) (sm->block + at) + sm->row, n);
	sm->row += n;
	left -= n;
	if (sm->row < sm->n_rows[sm->table])
	  return 0;
      }
  return 1;
}

/* ---- the course of it ---- */

static void
maglev_stats_begin (maglev_stats_main_t *sm, maglev_stats_phase_t phase)
{
  sm->phase = phase;
  sm->table = sm->metric = sm->row = 0;
}

/* Takes a block for the picture at hand: beside the one that is shown, where all fits; in its place otherwise. 0: there is nothing
   to be seen. */
static int
maglev_stats_plan (maglev_stats_main_t *sm)
{
  maglev_stats_room_t room = maglev_stats_room ();
  maglev_stats_plan_t plan = {};
  u8 *block = 0;

  if (maglev_rs_stats_plan (&room, 1, &plan))
    block = maglev_stats_allocate (&plan);
  if (block == 0 && sm->block)
    {
      maglev_stats_show (sm, 0);
      maglev_stats_free (&sm->block);
      clib_memset (&sm->plan, 0, sizeof (sm->plan));
      room = maglev_stats_room ();
    }
  while (block == 0)
    {
      if (!maglev_rs_stats_plan (&room, 0, &plan))
	return 0;
      if (plan.bytes == 0)
	break;
      block = maglev_stats_allocate (&plan);
      room.largest -= room.largest / 8;
    }
  sm->before = sm->block;
  sm->block = block;
  sm->plan = plan;
  sm->largest = maglev_stats_largest (room.size);
  sm->is_new = 1;
  return 1;
}

/* VPP uses the segment, too: what it has taken from the reserve or given back may ask for another plan. Its directory takes half as
   much again as it has now when it grows. */
static void
maglev_stats_watch (maglev_stats_main_t *sm, f64 now)
{
  u64 directory = vec_mem_size (vlib_stats_get_segment ()->directory_vector);

  if (sm->block && !maglev_stats_has_room (clib_max (sm->plan.reserve / 2, directory + 3 * directory / 4)))
    sm->is_due = 1;
  if (!sm->plan.is_short || now < sm->last_growth + MAGLEV_STATS_GROWTH_PERIOD)
    return;
  sm->last_growth = now;
  if (maglev_stats_has_room (sm->largest + MAGLEV_STATS_GROWTH))
    sm->is_due = 1;
}

int
maglev_stats_update (vlib_main_t *vm)
{
  maglev_stats_main_t *sm = &maglev_stats_main;
  f64 now = vlib_time_now (vm);
  maglev_stats_t picture;
  int taken;

  switch (sm->phase)
    {
    case MAGLEV_STATS_TAKE:
      /* The prober's beat wakes the process about once a second. */
      if (sm->is_refused || (sm->last && now < sm->last + MAGLEV_STATS_PERIOD))
	return 0;
      if ((taken = maglev_rs_stats_take (&picture)) != 1)
	return taken == 2;
      sm->last = now;
      clib_memcpy_fast (sm->n_rows, picture.n_rows, sizeof (sm->n_rows));
      if (sm->is_made && !sm->is_due && picture.generation == sm->generation)
	{
	  maglev_stats_begin (sm, MAGLEV_STATS_NUMBERS);
	  return 1;
	}
      if (!maglev_stats_plan (sm))
	return 0;
      sm->generation = picture.generation;
      sm->last_growth = now;
      sm->is_due = 0;
      if (!sm->is_made && sm->block)
	maglev_stats_make (sm);
      if (!sm->is_made)
	{
	  maglev_stats_free (&sm->block);
	  return 0;
	}
      maglev_stats_headers (sm);
      maglev_stats_begin (sm, MAGLEV_STATS_NAMES);
      return 1;

    case MAGLEV_STATS_NAMES:
      if (maglev_stats_name_some (sm))
	maglev_stats_begin (sm, MAGLEV_STATS_NUMBERS);
      return 1;

    case MAGLEV_STATS_NUMBERS:
      if (!maglev_stats_number_some (sm))
	return 1;
      if (sm->is_new)
	{
	  maglev_stats_show (sm, sm->block);
	  maglev_stats_free (&sm->before);
	  sm->is_new = 0;
	}
      maglev_stats_watch (sm, now);
      sm->phase = MAGLEV_STATS_TAKE;
      return 0;
    }
  return 0;
}
