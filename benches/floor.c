/* The floor under every prober: non-blocking connect, request, answer, close over one epoll, in one thread, with
 * nothing decided and nothing kept. Its starts are paced as a prober's are (spread over the first interval, then
 * from start to start with a jitter of 10 %), and its system calls for a probe are those of maglev's prober.
 *
 * usage: floor tcp|http PORT INTERVAL_MS ADDRESS...     runs until it is killed
 *
 * It sleeps in epoll_wait, in whole milliseconds as that has them, rounded up, so as not to spin.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

/* Starts meet on a grid of 2^22 ns, the point that is nearest, as maglev's do. */
static const long long GRID = 1 << 22;

struct backend {
  struct sockaddr_in address;
  /* Kept from probe to probe: dissolved in between, and made anew only once, as maglev's of healthy backends. */
  int fd;
  int busy;
  int connected;
  char request[192];
  int request_length;
};

struct due {
  long long at;
  int backend;
};

static struct backend *backends;
static struct due *heap;
static int count;
static int epoll_fd;
static int http;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The first of the heap has got a later time. */
static void sift(void) {
  struct due moved = heap[0];
  int i = 0;
  for (;;) {
    int child = 2 * i + 1;
    if (child >= count) break;
    if (child + 1 < count && heap[child + 1].at < heap[child].at) child++;
    if (heap[child].at >= moved.at) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = moved;
}

static void start(int n) {
  struct backend *b = &backends[n];
  int off = 0, first = b->fd < 0;
  /* The one before has not ended. */
  if (b->busy) return;
  if (first) b->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (b->fd < 0) die("socket");
  setsockopt(b->fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off);
  b->busy = 1;
  b->connected = 0;
  if (connect(b->fd, (struct sockaddr *)&b->address, sizeof b->address) && errno != EINPROGRESS) die("connect");
  if (!first) return;
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = n};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, b->fd, &e)) die("epoll_ctl");
}

static void finish(struct backend *b) {
  struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
  if (connect(b->fd, &nowhere, sizeof nowhere)) die("connect to nowhere");
  b->busy = 0;
}

static void event(int n, unsigned events) {
  struct backend *b = &backends[n];
  char buffer[16384];
  if (!b->busy) return;
  if (events & (EPOLLERR | EPOLLHUP)) {
    fprintf(stderr, "floor: a backend does not answer\n");
    exit(1);
  }
  if (!b->connected) {
    if (!(events & EPOLLOUT)) return;
    b->connected = 1;
    if (!http) return finish(b);
    if (send(b->fd, b->request, b->request_length, MSG_NOSIGNAL) != b->request_length) die("send");
  }
  if (events & EPOLLIN) {
    ssize_t got = recv(b->fd, buffer, sizeof buffer, 0);
    if (got < 12 || memcmp(buffer, "HTTP/1.1 200", 12)) {
      fprintf(stderr, "floor: not the answer\n");
      exit(1);
    }
    finish(b);
  }
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fprintf(stderr, "usage: floor tcp|http PORT INTERVAL_MS ADDRESS...\n");
    return 2;
  }
  http = !strcmp(argv[1], "http");
  int port = atoi(argv[2]);
  long long interval = atoi(argv[3]) * 1000000LL;
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  count = argc - 4;
  backends = calloc(count, sizeof *backends);
  heap = calloc(count, sizeof *heap);
  if (!backends || !heap) die("calloc");
  long long began = now();
  for (int i = 0; i < count; i++) {
    struct backend *b = &backends[i];
    const char *text = argv[i + 4];
    b->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    b->address.sin_addr.s_addr = inet_addr(text);
    b->fd = -1;
    b->request_length = snprintf(b->request, sizeof b->request,
                                 "GET / HTTP/1.1\r\nHost: %s:%d\r\nUser-Agent: maglev\r\nConnection: close\r\n\r\n", text, port);
    heap[i] = (struct due){.at = began + interval * i / count, .backend = i};
  }
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) die("epoll_create1");
  for (;;) {
    struct epoll_event events[EVENTS];
    long long wait = heap[0].at - now();
    int n = epoll_wait(epoll_fd, events, EVENTS, wait > 0 ? (int)((wait + 999999) / 1000000) : 0);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) event((int)events[i].data.u64, events[i].events);
    long long at = now();
    while (heap[0].at <= at) {
      start(heap[0].backend);
      heap[0].at = (at + GRID / 2 + (long long)(interval * (0.9 + 0.2 * drand48()))) & ~(GRID - 1);
      sift();
    }
  }
}
