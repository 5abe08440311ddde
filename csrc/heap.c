/* SPDX-License-Identifier: Apache-2.0 */

/*
 * How much of VPP's main heap is left: lb takes its tables from it, and VPP aborts when it is full.
 *
 * To count that VPP walks all chunks of the heap, which takes 2 ms with 170,000 routes and 9 ms with 500,000. It does so by itself,
 * every 10 s by default, and leaves the numbers in the stats segment: those are taken. They lie in an order that no header tells
 * (vlib/stats/provider_mem.c), and are believed where the first is the size of the heap.
 */

#include <vlib/vlib.h>
#include <vlib/stats/stats.h>
#include <vppinfra/mem.h>
#include "maglev.h"

enum
{
  MAGLEV_STAT_TOTAL = 0,
  MAGLEV_STAT_FREE = 2,
  MAGLEV_STAT_RELEASABLE = 6,
};

/* What VPP has counted last. */
static int
maglev_heap_counted (maglev_heap_t *out)
{
  /* Looked for once: to make its name takes memory, of which little may be left. It stays for as long as the heap does. */
  static u32 index = STAT_SEGMENT_INDEX_INVALID;
  vlib_stats_segment_t *sm = vlib_stats_get_segment ();
  counter_t **counters;
  vlib_stats_entry_t *e;

  if (sm->directory_vector == 0 || vec_len (sm->directory_vector) <= STAT_COUNTER_HEARTBEAT)
    return 0;
  if (index == STAT_SEGMENT_INDEX_INVALID)
    index = vlib_stats_find_entry_index ("/mem/%U", format_clib_mem_heap_name, clib_mem_get_heap ());
  if (index == STAT_SEGMENT_INDEX_INVALID || index >= vec_len (sm->directory_vector))
    return 0;
  e = sm->directory_vector + index;
  counters = e->data;
  if (e->type != STAT_DIR_TYPE_COUNTER_VECTOR_SIMPLE || vec_len (counters) == 0 ||
      vec_len (counters[0]) <= MAGLEV_STAT_RELEASABLE || counters[0][MAGLEV_STAT_TOTAL] != out->size)
    return 0;
  out->free = counters[0][MAGLEV_STAT_FREE];
  out->top = counters[0][MAGLEV_STAT_RELEASABLE];
  out->counted = sm->directory_vector[STAT_COUNTER_HEARTBEAT].value;
  return out->counted != 0;
}

void
maglev_shim_heap (maglev_heap_t *out)
{
  clib_mem_heap_t *heap = clib_mem_get_heap ();
  clib_mem_usage_t usage;

  out->size = clib_mem_get_heap_size (heap);
  if (maglev_heap_counted (out))
    return;
  clib_mem_get_heap_usage (heap, &usage);
  out->free = usage.bytes_free;
  out->top = usage.bytes_overhead;
  out->counted = 0;
}

uint8_t
maglev_shim_heap_has (uint64_t bytes)
{
  void *block = clib_mem_heap_alloc_or_null (clib_mem_get_heap (), bytes);

  if (block == 0)
    return 0;
  clib_mem_free (block);
  return 1;
}
