# Send IP protocol 112 to peers and print whose was heard: vrrp.py, by the arguments and
# words of which this works too, for hosts that have a Perl and no Python. It takes Linux.
use strict;
use Socket qw(:DEFAULT inet_pton inet_ntop pack_sockaddr_in6 unpack_sockaddr_in6 AF_INET6);
use POSIX ();

my ($own, $seconds, $device, $vrid, @peers) = @ARGV;
my $six = $own =~ /:/;
my $family = $six ? AF_INET6 : AF_INET;
my $ticks = POSIX::sysconf(POSIX::_SC_CLK_TCK());
sub clock { return (POSIX::times())[0] / $ticks }
sub at { my $a = shift; return $six ? pack_sockaddr_in6(0, $a) : pack_sockaddr_in(0, $a) }

socket(my $s, $family, SOCK_RAW, 112) or exit 1;
my $me = inet_pton($family, $own) or exit 1;
my @packed = map { inet_pton($family, $_) or exit 1 } @peers;
my ($group) = grep { my $first = ord($_); $first == 255 || !$six && $first >> 4 == 14 } @packed;
if (defined $group && $six) {    # IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS, IPV6_JOIN_GROUP
    open(my $f, '<', "/sys/class/net/$device/ifindex") or exit 1;
    my $index = pack('I', scalar(<$f>));
    setsockopt($s, 41, 17, $index) && setsockopt($s, 41, 18, pack('i', 255)) && setsockopt($s, 41, 20, $group . $index) or exit 1;
} elsif (defined $group) {       # IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_ADD_MEMBERSHIP
    setsockopt($s, 0, 32, $me) && setsockopt($s, 0, 33, pack('i', 255)) && setsockopt($s, 0, 35, $group . $me) or exit 1;
} else {
    bind($s, at($me)) or exit 1;
}

my (%heard, %routers);
my $due = clock();
my $end = $due + $seconds;
while (clock() < $end) {
    if (clock() >= $due) {
        $due += 0.2;
        send($s, "\x31\x00\x00\x00\x00\x64\x00\x00", 0, at($_)) for @packed;
    }
    my $ready = '';
    vec($ready, fileno($s), 1) = 1;
    my $wait = ($due < $end ? $due : $end) - clock();
    next unless select($ready, undef, undef, $wait > 0 ? $wait : 0) > 0;
    my $sender = recv($s, my $data, 256, 64);    # MSG_DONTWAIT
    next unless defined $sender && length $sender;
    my $from = inet_ntop($family, ($six ? unpack_sockaddr_in6($sender) : unpack_sockaddr_in($sender))[1]);
    my $body = $six ? $data : substr($data, (ord($data) & 15) * 4);
    next if length $body < 2 || keys(%heard) + keys(%routers) > 64;
    my $id = ord(substr($body, 1, 1));
    $heard{$from} = 1 if $id == 0;
    $routers{$from} = 1 if $id && $id == $vrid;
}
print join('', "raw=yes\n", (map { "heard=$_\n" } sort keys %heard), map { "router=raw $_ > here: vrid $vrid,\n" } sort keys %routers);
