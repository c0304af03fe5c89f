// Sources of proof taken away from a look at the host, in a mount namespace of the look's own: `hide FILE` makes a file one that cannot be
// read (EIO), `empty DIRECTORY` leaves an empty one. `unproven` are the devices (live-uses.ts) whose use then has no other witness, and the
// unused ones that nothing proves to be unused any more.

/** A source that is hidden. */
export interface HiddenSource {
  readonly what: string;
  readonly hide: string;
  /** What the look is started with. */
  readonly launch?: string;
  readonly unproven: readonly string[];
}

export const hiddenSources: readonly HiddenSource[] = [
  {
    what: "the host's processes (a container's own PID namespace)",
    hide: '',
    launch: 'unshare --pid --fork --mount-proc',
    unproven: ['blank', 'idle'],
  },
  {
    what: 'the right to look into processes',
    hide: '',
    launch: 'setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace',
    unproven: ['raw', 'generic', 'gpu', 'blank'],
  },
  { what: "the host's mounts", hide: 'hide /proc/1/mountinfo', unproven: ['blank'] },
  { what: 'the list of swap areas', hide: 'hide /proc/swaps', unproven: ['blank'] },
  { what: 'the list of block devices', hide: 'empty /sys/class/block', unproven: ['blank'] },
  { what: 'what a volume lies on', hide: 'empty /sys/devices/virtual/block', unproven: ['blank'] },
  {
    what: 'the disk itself',
    hide: 'mount --bind /dev/null $(disk data); mount --bind /dev/null $(disk zfs)',
    unproven: ['data', 'zfs'],
  },
  { what: 'the list of interfaces', hide: 'empty /sys/class/net', unproven: [] },
  { what: "the host's IPv4 routes", hide: 'hide /proc/1/net/route', unproven: [] },
  { what: "the host's IPv6 routes", hide: 'hide /proc/1/net/ipv6_route', unproven: [] },
  { what: "the host's IPv4 addresses", hide: 'hide /proc/1/net/fib_trie', unproven: [] },
  { what: 'the display attributes', hide: 'hide /sys/bus/pci/devices/$(address vga)/boot_vga', unproven: ['vga'] },
  { what: 'the framebuffers', hide: 'empty /sys/class/graphics', unproven: ['console'] },
  { what: 'the numbers of character devices', hide: 'empty /sys/dev/char', unproven: ['gpu', 'generic'] },
];
