/*
 * spin.c - see spin.h.
 */
#include "supervisor/loop/spin.h"

#include "base/macros.h"

#define SHORT_SLEEP (SPIN_LONGEST + 30) /* a spin would have been shorter: nobody has to be woken */
#define CAUTION_FIRST 16U
#define CAUTION_MOST 1024U

static struct spin_caution *spin_caution(struct spin *spin)
{
	return spin->outlook < SPIN_CROWDED ? &spin->cautions[spin->outlook] : NULL;
}

void spin_init(struct spin *spin)
{
	*spin = (struct spin){ 0 };
	for (int i = 0; i < SPIN_CROWDED; i++)
		spin->cautions[i] = (struct spin_caution){ CAUTION_FIRST, CAUTION_FIRST };
}

bool spin_pays(const struct spin *spin)
{
	return spin->outlook < SPIN_CROWDED && spin->cautions[spin->outlook].left == 0;
}

void spin_tried(struct spin *spin, bool found)
{
	struct spin_caution *caution = spin_caution(spin);

	if (!caution)
		return;
	if (found) {
		caution->next = max_of(caution->next / 2, 1U);
		return;
	}
	caution->left = caution->next;
	caution->next = min_of(caution->next * 2, CAUTION_MOST);
}

void spin_slept(struct spin *spin, usec_t took)
{
	struct spin_caution *caution = spin_caution(spin);

	if (caution && caution->left > 0 && took <= SHORT_SLEEP)
		caution->left--;
}
