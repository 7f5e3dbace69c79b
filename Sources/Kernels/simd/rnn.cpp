#define EFF_FAMILY "rnn.h"
#include "levels.h"
