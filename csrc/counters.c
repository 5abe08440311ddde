/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What lb counts. Its counters are in VPP's statistics by the index of a VIP, which no message of lb tells, and the
 * flows of a server are in no message at all: both are in the text of its own command alone.
 */

#define _GNU_SOURCE /* mremap */
#include <sys/mman.h>
#include "maglev.h"

/* What lb's own text of one VIP may take of VPP's main heap while it is made. */
#define MAGLEV_LB_TEXT_OF_A_VIP (4 << 20)

/* A text that grows with what is configured: outside of VPP's heap. */
typedef struct
{
  u64 mapped, length;
  char text[];
} maglev_lb_text_t;

/* While it is made. */
typedef struct
{
  maglev_lb_text_t *text;
  /* A part of it is missing: there was no memory for it. */
  int has_failed;
} maglev_lb_text_maker_t;

static void
maglev_lb_text_add (uword arg, u8 *buffer, uword buffer_bytes)
{
  maglev_lb_text_maker_t *maker = uword_to_pointer (arg, maglev_lb_text_maker_t *);
  maglev_lb_text_t *t = maker->text;
  u64 wanted, length = t ? t->length : 0;

  wanted = sizeof (*t) + length + buffer_bytes;
  if (t == 0 || wanted > t->mapped)
    {
      u64 mapped = round_pow2 (2 * wanted, (u64) 1 << 16);
      void *p = t ? mremap (t, t->mapped, mapped, MREMAP_MAYMOVE) :
		    mmap (0, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

      if (p == MAP_FAILED)
	{
	  maker->has_failed = 1;
	  return;
	}
      maker->text = t = p;
      t->mapped = mapped;
    }
  clib_memcpy (t->text + length, buffer, buffer_bytes);
  t->length = length + buffer_bytes;
}

maglev_lb_status_t
maglev_shim_lb_vips_text (char **text, uint64_t *length)
{
  vlib_main_t *vm = vlib_get_main ();
  unformat_input_t input;
  maglev_lb_text_maker_t maker = {};
  u64 began;
  int rv;

  *text = 0;
  *length = 0;
  /* VPP keeps where a command's output goes in the process that runs it. */
  if (vlib_get_current_process (vm) == 0 || !maglev_heap_has_room (MAGLEV_LB_TEXT_OF_A_VIP))
    return MAGLEV_LB_UNAVAILABLE;
  unformat_init_string (&input, "show lb vips verbose", sizeof ("show lb vips verbose") - 1);
  began = clib_cpu_time_now ();
  rv = vlib_cli_input (vm, &input, maglev_lb_text_add, pointer_to_uword (&maker));
  maglev_stays_main.in_lb += clib_cpu_time_now () - began;
  unformat_free (&input);
  if (maker.text)
    {
      *text = maker.text->text;
      *length = maker.text->length;
    }
  if (maker.has_failed)
    return MAGLEV_LB_NO_REPLY;
  return rv ? MAGLEV_LB_BAD_REPLY : MAGLEV_LB_OK;
}

void
maglev_shim_lb_text_free (char *text)
{
  maglev_lb_text_t *t;

  if (text == 0)
    return;
  t = (maglev_lb_text_t *) (text - STRUCT_OFFSET_OF (maglev_lb_text_t, text));
  munmap (t, t->mapped);
}
