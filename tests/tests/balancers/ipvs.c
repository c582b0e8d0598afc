/* Answers keepalived in place of the kernel's IPVS: its table is empty and takes everything. So its health checkers run
   for real where the kernel has no IPVS, and the machine's own table is never touched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* IP_VS_BASE_CTL of linux/ip_vs.h, and the 64 options that follow it. */
static int is_ipvs(int level, int name) {
  return level == IPPROTO_IP && name >= 64 + 1024 + 64 && name < 64 + 1024 + 128;
}

int setsockopt(int socket, int level, int name, const void *value, socklen_t length) {
  if (is_ipvs(level, name)) return 0;
  int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
  return real(socket, level, name, value, length);
}

int getsockopt(int socket, int level, int name, void *value, socklen_t *length) {
  if (is_ipvs(level, name)) {
    memset(value, 0, *length);
    return 0;
  }
  int (*real)(int, int, int, void *, socklen_t *) = dlsym(RTLD_NEXT, "getsockopt");
  return real(socket, level, name, value, length);
}

/* There is no netlink family called IPVS (NLE_OBJ_NOTFOUND): socket options are all that is left. */
int genl_ctrl_resolve(void *socket, const char *name) {
  if (strcmp(name, "IPVS") == 0) return -12;
  int (*real)(void *, const char *) = dlsym(RTLD_NEXT, "genl_ctrl_resolve");
  return real(socket, name);
}
