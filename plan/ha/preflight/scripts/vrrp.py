# Send IP protocol 112 to peers and print whose was heard: arguments are the own address,
# for how many seconds, the interface, the VRID of others to hear, and the peers, or a group.
#
# What is sent has the VRID 0, which no router may have: keepalived ignores it. Packets go out
# at fixed times, never in answer to others. For Python 2 and 3.
import select, socket, struct, sys, time

own, seconds, device, vrid, peers = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:]
clock = getattr(time, "monotonic", time.time)
six = ":" in own
family = socket.AF_INET6 if six else socket.AF_INET
s = socket.socket(family, socket.SOCK_RAW, 112)
packed = [socket.inet_pton(family, p) for p in peers]
group = [p for p in packed if bytearray(p)[0] == 255 or not six and bytearray(p)[0] >> 4 == 14]
if group and six:
    index = struct.pack("@I", int(open("/sys/class/net/%s/ifindex" % device).read()))
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group[0] + index)
elif group:
    me = socket.inet_pton(family, own)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, me)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group[0] + me)
else:
    s.bind((own, 0))
s.setblocking(0)

heard, routers = set(), set()
end, due = clock() + seconds, clock()
while clock() < end:
    if clock() >= due:
        due += 0.2
        for peer in peers:
            try:
                s.sendto(b"\x31\x00\x00\x00\x00\x64\x00\x00", (peer, 0))
            except socket.error:
                pass  # a firewall of the host's own
    if not select.select([s], [], [], max(0, min(due, end) - clock()))[0]:
        continue
    try:
        data, sender = s.recvfrom(256)
    except socket.error:
        continue
    data = bytearray(data)
    body = data if six else data[(data[0] & 15) * 4:]
    if len(body) < 2 or len(heard) + len(routers) > 64:
        continue
    if body[1] == 0:
        heard.add(sender[0])
    elif body[1] == vrid:
        routers.add(sender[0])
sys.stdout.write("".join(
    ["raw=yes\n"] + ["heard=%s\n" % a for a in sorted(heard)] +
    ["router=raw %s > here: vrid %d,\n" % (a, vrid) for a in sorted(routers)]))
