#define EFF_FAMILY "matmul.h"
#include "levels.h"
