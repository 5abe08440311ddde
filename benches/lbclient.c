/* lb over VPP's binary API, as a program beside VPP would use it: VAPI over the API socket, blocking.
 *
 * usage: lbclient SOCKET watch ADDRESS PORT
 *   Reads the servers of the VIP (tcp) without end, with a millisecond between two dumps. A line `NANOSECONDS SERVER WEIGHT` for
 *   each weight that is not what it was, by CLOCK_MONOTONIC when the dump had come.
 * usage: lbclient SOCKET calls ADDRESS PORT
 *   For each line `SERVER WEIGHT SERVER WEIGHT ...` on standard input one `lb_as_set_weight` after the other, then a line with the
 *   microseconds from the first request to the last answer. A WEIGHT like `0f` flushes the server's flows. A SERVER like `+10.0.0.1` is
 *   added (`lb_add_del_as_v2`). `vip ADDRESS LENGTH` at the beginning of a line adds that VIP (tcp, PORT, GRE), which the servers
 *   from there on are of. An empty line is a message that does nothing (control_ping).
 */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vapi/vapi.h>
#include <vapi/lb.api.vapi.h>
#include <vapi/memclnt.api.vapi.h>
#include <vapi/vlib.api.vapi.h>

DEFINE_VAPI_MSG_IDS_LB_API_JSON
DEFINE_VAPI_MSG_IDS_MEMCLNT_API_JSON
DEFINE_VAPI_MSG_IDS_VLIB_API_JSON

enum { SERVERS = 65536, TCP = 6 };

static vapi_ctx_t ctx;
static vapi_type_prefix vip;
static int port;
static short weights[SERVERS];
static unsigned char keys[SERVERS][4];

static void check(vapi_error_e e, const char *what) {
  if (e == VAPI_OK) return;
  fprintf(stderr, "lbclient: %s: error %d\n", what, e);
  exit(1);
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static vapi_type_address address(const char *text) {
  vapi_type_address a = {.af = ADDRESS_IP4};
  if (inet_pton(AF_INET, text, a.un.ip4) != 1) {
    fprintf(stderr, "lbclient: no IPv4 address: %s\n", text);
    exit(2);
  }
  return a;
}

/* The place of an address, by open hashing: there are never more than half as many as places. */
static int place(const unsigned char *ip) {
  unsigned h = (ip[0] * 16777619u ^ ip[1] * 65599u ^ ip[2] * 257u ^ ip[3]) % SERVERS;
  while (weights[h] >= 0 && memcmp(keys[h], ip, 4)) h = (h + 1) % SERVERS;
  return (int)h;
}

static long long dumped;

static vapi_error_e detail(vapi_ctx_t c, void *arg, vapi_error_e rv, bool last, vapi_payload_lb_as_v2_details *d) {
  (void)c, (void)arg;
  if (rv != VAPI_OK || last || !d) return VAPI_OK;
  const unsigned char *ip = d->app_srv.un.ip4;
  int p = place(ip);
  if (weights[p] != d->weight) {
    memcpy(keys[p], ip, 4);
    weights[p] = d->weight;
    if (!dumped) dumped = now();
    printf("%lld %d.%d.%d.%d %d\n", dumped, ip[0], ip[1], ip[2], ip[3], d->weight);
  }
  return VAPI_OK;
}

static void watch(void) {
  memset(weights, -1, sizeof weights);
  for (;;) {
    vapi_msg_lb_as_v2_dump *m = vapi_alloc_lb_as_v2_dump(ctx);
    m->payload.pfx = vip;
    /* lb compares the 16 bytes as they are with its own form of an IPv4 address, which has it in the last four. */
    memset(&m->payload.pfx.address.un, 0, sizeof m->payload.pfx.address.un);
    memcpy(m->payload.pfx.address.un.ip6 + 12, vip.address.un.ip4, 4);
    m->payload.protocol = TCP;
    m->payload.port = port;
    dumped = 0;
    check(vapi_lb_as_v2_dump(ctx, m, detail, NULL), "lb_as_v2_dump");
    if (fflush(stdout)) exit(0);
    struct timespec pause = {.tv_nsec = 1000000};
    nanosleep(&pause, NULL);
  }
}

static vapi_error_e answered(const char *what, vapi_error_e rv, int retval) {
  if (rv != VAPI_OK || retval != 0) {
    fprintf(stderr, "lbclient: %s: error %d, retval %d\n", what, rv, retval);
    exit(1);
  }
  return VAPI_OK;
}

#define REPLIED(message)                                                                                                              \
  static vapi_error_e message##_replied(vapi_ctx_t c, void *arg, vapi_error_e rv, bool last, vapi_payload_##message##_reply *r) {      \
    (void)c, (void)arg, (void)last;                                                                                                   \
    return answered(#message, rv, r ? r->retval : 0);                                                                                 \
  }

REPLIED(lb_as_set_weight)
REPLIED(lb_add_del_as_v2)
REPLIED(lb_add_del_vip_v2)

static void set(const char *server, int weight, bool flush) {
  vapi_msg_lb_as_set_weight *m = vapi_alloc_lb_as_set_weight(ctx);
  m->payload.pfx = vip;
  m->payload.protocol = TCP;
  m->payload.port = port;
  m->payload.as_address = address(server);
  m->payload.weight = weight;
  m->payload.is_flush = flush;
  check(vapi_lb_as_set_weight(ctx, m, lb_as_set_weight_replied, NULL), "lb_as_set_weight");
}

static void add(const char *server, int weight) {
  vapi_msg_lb_add_del_as_v2 *m = vapi_alloc_lb_add_del_as_v2(ctx);
  memset(&m->payload, 0, sizeof m->payload);
  m->payload.pfx = vip;
  m->payload.protocol = TCP;
  m->payload.port = port;
  m->payload.as_address = address(server);
  m->payload.weight = weight;
  check(vapi_lb_add_del_as_v2(ctx, m, lb_add_del_as_v2_replied, NULL), "lb_add_del_as_v2");
}

static void add_vip(const char *prefix, int length) {
  vip.address = address(prefix);
  vapi_msg_lb_add_del_vip_v2 *m = vapi_alloc_lb_add_del_vip_v2(ctx);
  memset(&m->payload, 0, sizeof m->payload);
  m->payload.pfx = vip;
  m->payload.protocol = TCP;
  m->payload.port = port;
  m->payload.encap = LB_API_ENCAP_TYPE_GRE4;
  m->payload.new_flows_table_length = length;
  check(vapi_lb_add_del_vip_v2(ctx, m, lb_add_del_vip_v2_replied, NULL), "lb_add_del_vip_v2");
}

static vapi_error_e ponged(vapi_ctx_t c, void *arg, vapi_error_e rv, bool last, vapi_payload_control_ping_reply *r) {
  (void)c, (void)arg, (void)last, (void)r;
  return rv;
}

static const char *next(char **rest, const char *what) {
  const char *word = strtok_r(NULL, " \n", rest);
  if (!word) {
    fprintf(stderr, "lbclient: no %s\n", what);
    exit(2);
  }
  return word;
}

static void calls(void) {
  static char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    char *rest = line, *word = strtok_r(line, " \n", &rest);
    long long began = now();
    if (!word) check(vapi_control_ping(ctx, vapi_alloc_control_ping(ctx), ponged, NULL), "control_ping");
    for (; word; word = strtok_r(NULL, " \n", &rest)) {
      if (!strcmp(word, "vip")) {
        const char *prefix = next(&rest, "address");
        add_vip(prefix, atoi(next(&rest, "length")));
        continue;
      }
      const char *weight = next(&rest, "weight");
      if (*word == '+') {
        add(word + 1, atoi(weight));
      } else {
        set(word, atoi(weight), strchr(weight, 'f') != NULL);
      }
    }
    printf("%.1f\n", (double)(now() - began) / 1e3);
    if (fflush(stdout)) exit(0);
  }
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: lbclient SOCKET watch|calls ADDRESS PORT\n");
    return 2;
  }
  check(vapi_ctx_alloc(&ctx), "vapi_ctx_alloc");
  check(vapi_connect_ex(ctx, "maglev-bench", argv[1], 64, 64, VAPI_MODE_BLOCKING, true, true), "connect");
  vip.address = address(argv[3]);
  vip.len = 32;
  port = atoi(argv[4]);
  if (!strcmp(argv[2], "watch")) {
    watch();
  } else if (!strcmp(argv[2], "calls")) {
    calls();
  } else {
    return 2;
  }
  vapi_disconnect(ctx);
  return 0;
}
