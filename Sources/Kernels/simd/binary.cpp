#define EFF_FAMILY "binary.h"
#include "levels.h"
