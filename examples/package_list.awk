# SPDX-License-Identifier: MIT
# Writes a list of packages as Debian's are, the same on every machine: awk -v count=30000 -f package_list.awk
#
# The first N packages are the archive as it was when it had N. All need some of the oldest, so what one takes to install is
# as much in a small archive as in a large one. Now and then a package comes again, in another version.

# From 0 up: Park and Miller's generator, exact in a double, as awk's numbers are.
function below(limit) {
    seed = seed * 16807 % 2147483647
    return int(seed / 2147483647 * limit)
}

# One call a statement, here and below: awks differ in which of several they make first.
function letter(letters) {
    return substr(letters, 1 + below(length(letters)), 1)
}

function word(syllables, text) {
    while (syllables-- > 0) {
        text = text letter("bdfgklmnprstvz")
        text = text letter("aeiou")
    }
    return text
}

function one_of_the_oldest(number) {
    return names[below(number < 80 ? number : 80)]
}

function dependencies(number, count, text, i) {
    for (i = 0; i < count; i++) {
        text = text (i ? ", " : "Depends: ") one_of_the_oldest(number)
        text = text (below(3) ? " (>= 1." below(10) ")" : " | " one_of_the_oldest(number))
    }
    return count ? text "\n" : ""
}

BEGIN {
    seed = 1
    split("lib lib lib python3- golang- ruby- fonts- r-", kinds, " ") # the ninth begins with nothing
    split("libs libs libs python golang ruby fonts math utils", sections, " ")
    for (number = 0; number < count; number++) {
        kind = 1 + below(9)
        if (number && below(20) == 0) {
            names[number] = names[below(number)]
        } else {
            names[number] = kinds[kind] word(3)
            names[number] = names[number] below(100)
        }
        printf "Package: %s\nVersion: %d.%d", names[number], 1 + number / 1000, below(30)
        printf "-%d\nArchitecture: amd64\nSection: %s\n", 1 + below(5), sections[kind]
        printf "Installed-Size: %d\n", 20 + below(5000)
        printf "%s", (number ? dependencies(number, below(6)) : "")
        printf "%s", (below(6) ? "" : "Provides: " names[number] "-api\n")
        printf "Description: package %d of this list\n\n", number + 1
    }
}
