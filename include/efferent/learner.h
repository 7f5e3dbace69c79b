/* Efferent: learning on the device. Part of efferent.h; include that. */
#ifndef EFFERENT_LEARNER_H
#define EFFERENT_LEARNER_H
#endif
