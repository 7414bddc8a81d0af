// SPDX-License-Identifier: MIT
//
// Profilers as objects, and labels with the types that only C++ has. What is stored is known to test_values.py.
#include <lapmark.h>

#include <cstddef>

enum plain { plain_value = 3 };
enum class scoped : unsigned char { value = 200 };

int main()
{
    lapmark::profiler outer(LAP_LABEL("object %d %s", -1, "with a string"), lapmark::options().n(4).threshold_ms(0.5));
    outer.mark(LAP_LABEL("types %d %d %p %f", true, plain_value, nullptr, 1.5f));
    outer.mark(LAP_LABEL("enumerations %u", static_cast<unsigned>(scoped::value)));
    outer.mark(LAP_LABEL_N(9, "sized %d", 1));
    {
        lapmark::profiler sized(LAP_LABEL_N(5, "sized profiler"), lapmark::options().n(6));
        sized.mark(LAP_LABEL_TEXT("made at run time"));
    }
    outer.end();
    return 0;
}
