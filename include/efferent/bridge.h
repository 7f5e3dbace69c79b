/* Efferent bridge: sessions served over ZeroMQ. Only in libraries that are built with the trait Bridge. */
#ifndef EFFERENT_BRIDGE_H
#define EFFERENT_BRIDGE_H
#include "efferent.h"
#endif
