# Warnings, as errors, for everything of ours.
set(HELIX_WARNINGS -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Wno-delete-non-abstract-non-virtual-dtor)
