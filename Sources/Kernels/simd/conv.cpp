#define EFF_FAMILY "conv.h"
#include "levels.h"
