#define EFF_FAMILY "unary.h"
#include "levels.h"
