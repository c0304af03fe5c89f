// Names of kernel modules and alias texts in the form kmod compares them: `-` and `_` are the same letter, written `_`.

/**
 * A text as kmod looks it up (`alias_normalize` in its shared/util.c): every `-` outside `[...]` becomes `_`. Patterns and looked-up
 * names both go through this, so `platform:foo-bar` and `platform:foo_bar` are one name, while a set such as `[a-f]` keeps its range.
 * null where brackets do not pair: kmod answers such a lookup with an error, so nothing matches it.
 */
export function toLookupForm(text: string): string | null {
  if (!/[[\]-]/.test(text)) return text;
  let form = '';
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === ']') return null;
    if (character === '[') {
      const end = text.indexOf(']', at);
      if (end === -1) return null;
      form += text.slice(at, end + 1);
      at = end;
    } else {
      form += character === '-' ? '_' : character;
    }
  }
  return form;
}

/** A module's name in underscore form, as /sys/module and modules.alias spell it. */
export function toModuleName(name: string): string {
  return name.replaceAll('-', '_');
}

/** The module a file holds: `kernel/drivers/vfio/pci/vfio-pci.ko.xz` is `vfio_pci`. */
export function moduleOfPath(path: string): string {
  const base = path.slice(path.lastIndexOf('/') + 1);
  const dot = base.indexOf('.');
  return toModuleName(dot === -1 ? base : base.slice(0, dot));
}

/** Whether `name` can be a module's name at all: what may be handed to modprobe. */
export function isModuleName(name: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_-]{0,54}$/.test(name);
}
