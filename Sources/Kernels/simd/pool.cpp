#define EFF_FAMILY "pool.h"
#include "levels.h"
