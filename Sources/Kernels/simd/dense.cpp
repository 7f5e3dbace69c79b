#define EFF_FAMILY "dense.h"
#include "levels.h"
