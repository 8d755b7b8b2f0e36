/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers on the wire that more than one file uses. */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#define ETH_HEADER_BYTES 14u
#define ETH_TYPE_IP4 0x0800u
#define ETH_TYPE_ARP 0x0806u
#define ETH_TYPE_VLAN 0x8100u /* IEEE 802.1Q */
#define ETH_TYPE_IP6 0x86ddu

#define IP_PROTO_HOPOPTS 0u
#define IP_PROTO_ICMP 1u
#define IP_PROTO_IGMP 2u
#define IP_PROTO_TCP 6u
#define IP_PROTO_UDP 17u
#define IP_PROTO_ROUTING 43u
#define IP_PROTO_FRAGMENT 44u
#define IP_PROTO_ICMP6 58u
#define IP_PROTO_NONE 59u
#define IP_PROTO_DSTOPTS 60u

#define IP4_HEADER_BYTES 20u
#define IP6_HEADER_BYTES 40u
#define IP4_MIN_MTU 68u    /* RFC 791 */
#define IP6_MIN_MTU 1280u  /* RFC 8200 5 */
#define IP_DEFAULT_TTL 64u /* RFC 1700 */

#define IP_ECN_MASK 3u     /* RFC 3168 5 */
#define IP_ECN_ECT1 1u
#define IP_ECN_ECT0 2u
#define IP_ECN_CE 3u

#define UDP_HEADER_BYTES 8u

#endif
