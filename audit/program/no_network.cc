// sotto-audit is one static file that reads files and nothing else. OpenSSL's archive refers to the functions that find hosts and
// load libraries, which a static program cannot have without the C library of the machine that built it. Here they refuse, so
// that the program has no way to a network or a plug-in.
#include <netdb.h>

extern "C" {

// The linker takes it for dlopen (--wrap): the C library brings its own in any case.
void* __wrap_dlopen(const char*, int) { return nullptr; }

int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) { return EAI_FAIL; }
void freeaddrinfo(addrinfo*) noexcept {}
hostent* gethostbyname(const char*) { return nullptr; }

}  // extern "C"
