#define EFF_FAMILY "norm.h"
#include "levels.h"
