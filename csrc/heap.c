/* SPDX-License-Identifier: Apache-2.0 */

/* How much of VPP's main heap is left: lb takes its tables from it, and VPP aborts when it is full. */

#include <vppinfra/mem.h>
#include "maglev.h"

void
maglev_shim_heap (maglev_heap_t *out)
{
  clib_mem_heap_t *heap = clib_mem_get_heap ();
  clib_mem_usage_t usage;

  clib_mem_get_heap_usage (heap, &usage);
  out->size = clib_mem_get_heap_size (heap);
  out->free = usage.bytes_free;
  out->top = usage.bytes_overhead;
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
