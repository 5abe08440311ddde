/* The server beside every checker that is measured: one epoll loop, one port on all addresses, so that each address
 * of 127.0.0.0/8 is a backend. It answers each HTTP request with a short 200 and closes after the peer.
 *
 * usage: server PORT ADDRESS...
 *   With addresses it listens on each of them alone. A line `close ADDRESS` or `open ADDRESS` on standard input closes
 *   one listener (and resets what it has accepted since) or opens it again; the word comes back on standard output when that is
 *   done, after the time of CLOCK_MONOTONIC in nanoseconds at which it was.
 *   Without addresses it listens on all there are, and takes no lines.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

enum { EVENTS = 256, BACKLOG = 4096 };

/* What an event is about: below FIRST_CONNECTION a listener's number, else a connection's descriptor. */
static const unsigned long long CONNECTION = 1ULL << 32;
static const unsigned long long INPUT = 1ULL << 33;

struct listener {
  struct in_addr address;
  int fd;
};

static struct listener *listeners;
static int listeners_count;
static int epoll_fd;
static int port;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void watch(int fd, unsigned events, unsigned long long about) {
  struct epoll_event e = {.events = events, .data.u64 = about};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e)) die("epoll_ctl");
}

static void open_listener(int n) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = listeners[n].address};
  if (fd < 0) die("socket");
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, BACKLOG)) die("bind or listen");
  watch(fd, EPOLLIN, n);
  listeners[n].fd = fd;
}

static void accept_all(int fd) {
  for (;;) {
    int c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (c < 0) {
      /* A peer that has gone again is no reason to stop. */
      if (errno == ECONNABORTED || errno == EINTR) continue;
      if (errno == EAGAIN) return;
      die("accept4");
    }
    watch(c, EPOLLIN | EPOLLRDHUP, CONNECTION | (unsigned)c);
  }
}

static void serve(int fd) {
  char buffer[4096];
  ssize_t n = recv(fd, buffer, sizeof buffer, 0);
  if (n > 0) {
    /* The requests of all checkers fit into one segment; it ends with the empty line. */
    if (n >= 4 && !memcmp(buffer + n - 4, "\r\n\r\n", 4)) {
      if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) die("send");
    }
    return;
  }
  if (n < 0 && errno == EAGAIN) return;
  close(fd);
}

static void command(void) {
  char line[128], word[16], text[64];
  if (!fgets(line, sizeof line, stdin)) exit(0);
  if (sscanf(line, "%15s %63s", word, text) != 2) return;
  for (int i = 0; i < listeners_count; i++) {
    if (listeners[i].address.s_addr != inet_addr(text)) continue;
    if (!strcmp(word, "close") && listeners[i].fd >= 0) {
      close(listeners[i].fd);
      listeners[i].fd = -1;
    } else if (!strcmp(word, "open") && listeners[i].fd < 0) {
      open_listener(i);
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%lld %s\n", now.tv_sec * 1000000000LL + now.tv_nsec, word);
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  if (argc < 2 || (port = atoi(argv[1])) <= 0) {
    fprintf(stderr, "usage: server PORT ADDRESS...\n");
    return 2;
  }
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) die("epoll_create1");
  listeners_count = argc > 2 ? argc - 2 : 1;
  listeners = calloc(listeners_count, sizeof *listeners);
  if (!listeners) die("calloc");
  for (int i = 0; i < listeners_count; i++) {
    listeners[i].address.s_addr = argc > 2 ? inet_addr(argv[i + 2]) : INADDR_ANY;
    open_listener(i);
  }
  setvbuf(stdin, NULL, _IONBF, 0);
  if (argc > 2) watch(0, EPOLLIN, INPUT);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll_fd, events, EVENTS, -1);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) {
      unsigned long long about = events[i].data.u64;
      if (about == INPUT)
        command();
      else if (about & CONNECTION)
        serve((int)(about & 0xffffffff));
      else if (listeners[about].fd >= 0)
        accept_all(listeners[about].fd);
    }
  }
}
