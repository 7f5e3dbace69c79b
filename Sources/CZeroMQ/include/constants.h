// The constants of libzmq 4 that are used; they are part of its ABI. Tests/C/bridge_test.c compares them with the
// <zmq.h> of the machine.
#pragma once
#define ZMQ_PAIR 0
#define ZMQ_REQ 3
#define ZMQ_REP 4
#define ZMQ_DEALER 5
#define ZMQ_ROUTER 6

#define ZMQ_ROUTING_ID 5
#define ZMQ_RCVMORE 13
#define ZMQ_FD 14
#define ZMQ_EVENTS 15
#define ZMQ_LINGER 17
#define ZMQ_MAXMSGSIZE 22
#define ZMQ_SNDHWM 23
#define ZMQ_RCVHWM 24
#define ZMQ_RCVTIMEO 27
#define ZMQ_SNDTIMEO 28
#define ZMQ_LAST_ENDPOINT 32
#define ZMQ_ROUTER_MANDATORY 33
#define ZMQ_IPV6 42
#define ZMQ_CURVE_SERVER 47
#define ZMQ_CURVE_SECRETKEY 49
#define ZMQ_ZAP_DOMAIN 55
#define ZMQ_ROUTER_HANDOVER 56
#define ZMQ_HEARTBEAT_IVL 75
#define ZMQ_HEARTBEAT_TIMEOUT 77

#define ZMQ_DONTWAIT 1
#define ZMQ_SNDMORE 2

#define ZMQ_SRCFD 2
#define ZMQ_THREAD_NAME_PREFIX 9
#define ZMQ_EVENT_LISTENING 0x0008
#define ZMQ_EVENT_ACCEPTED 0x0020
#define ZMQ_EVENT_DISCONNECTED 0x0200
#define ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL 0x0800
#define ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL 0x2000
