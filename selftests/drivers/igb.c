// SPDX-License-Identifier: GPL-2.0-only
/*
 * The little that the tests need of an Intel 82576: reset and interrupts.
 *
 * With GPIE.Multiple_MSIX each bit of EICR is one MSI-X vector. EICS sets
 * such a bit by software, EIMS lets it through, and EIAC makes the device
 * clear it again when the message has gone out, so that every write to EICS
 * is one interrupt.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>
#include "igb.h"

#define IGB_STATUS		0x0008
#define IGB_VET			0x0038	/* VLAN EtherType, 16 bits */
#define IGB_GPIE		0x1514
#define IGB_GPIE_NSICR		(1u << 0)
#define IGB_GPIE_MSIX_MODE	(1u << 4)
#define IGB_GPIE_EIAME		(1u << 30)
#define IGB_GPIE_PBA		(1u << 31)
#define IGB_EICS		0x1520
#define IGB_EIMS		0x1524
#define IGB_EIMC		0x1528
#define IGB_EIAC		0x152c

#define IGB_VENDOR_DEVICE	0x10c98086
#define IGB_MARK		0x1234	/* in a register that a reset clears */

int igb_open(struct igb *igb, struct access *a)
{
	int ret;

	igb->a = a;
	if (access_config_read(a, PCI_VENDOR_ID, 4) != IGB_VENDOR_DEVICE)
		return -ENODEV;
	ret = access_enable(a);
	if (ret)
		return ret;
	return access_bar_open(a, VFIO_PCI_BAR0_REGION_INDEX, &igb->bar);
}

void igb_close(struct igb *igb)
{
	if (!igb->a)
		return;
	igb_irq_stop(igb);
	access_bar_close(&igb->bar);
	igb->a = NULL;
}

uint32_t igb_status(struct igb *igb)
{
	return access_bar_read32(&igb->bar, IGB_STATUS);
}

void igb_set_mark(struct igb *igb, uint16_t mark)
{
	access_bar_write32(&igb->bar, IGB_VET, mark);
}

uint16_t igb_mark(struct igb *igb)
{
	return access_bar_read32(&igb->bar, IGB_VET);
}

int igb_flr(struct igb *igb)
{
	unsigned int cap = access_capability(igb->a, PCI_CAP_ID_EXP);
	uint16_t control;
	int ret;

	if (!cap || !(access_config_read(igb->a, cap + PCI_EXP_DEVCAP, 4) &
		      PCI_EXP_DEVCAP_FLR))
		return -ENOTTY;
	igb_irq_stop(igb);
	control = access_config_read(igb->a, cap + PCI_EXP_DEVCTL, 2);
	ret = access_config_write(igb->a, cap + PCI_EXP_DEVCTL, 2,
				  control | PCI_EXP_DEVCTL_BCR_FLR);
	return ret ? ret : access_enable(igb->a);
}

void igb_irq_arm(struct igb *igb)
{
	uint32_t vectors = (1u << igb->nr_vectors) - 1;

	access_bar_write32(&igb->bar, IGB_GPIE,
			   IGB_GPIE_MSIX_MODE | IGB_GPIE_NSICR |
			   IGB_GPIE_EIAME | IGB_GPIE_PBA);
	access_bar_write32(&igb->bar, IGB_EIAC, vectors);
	access_bar_write32(&igb->bar, IGB_EIMS, vectors);
}

int igb_irq_setup(struct igb *igb, unsigned int count)
{
	unsigned int i;
	int ret;

	if (!count || count > IGB_NR_VECTORS)
		return -EINVAL;
	for (i = 0; i < count; i++) {
		igb->fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (igb->fds[i] < 0) {
			ret = -errno;
			goto err_close;
		}
	}
	ret = access_irq_enable(igb->a, VFIO_PCI_MSIX_IRQ_INDEX, 0, count,
				igb->fds);
	if (ret)
		goto err_close;
	igb->nr_vectors = count;
	igb_irq_arm(igb);
	return 0;

err_close:
	while (i--)
		close_fd(&igb->fds[i]);
	return ret;
}

void igb_irq_stop(struct igb *igb)
{
	if (!igb->nr_vectors)
		return;
	access_bar_write32(&igb->bar, IGB_EIMC, ~0u);
	access_irq_disable(igb->a, VFIO_PCI_MSIX_IRQ_INDEX);
	while (igb->nr_vectors)
		close_fd(&igb->fds[--igb->nr_vectors]);
}

void igb_trigger(struct igb *igb, uint32_t vectors)
{
	access_bar_write32(&igb->bar, IGB_EICS, vectors);
}

int igb_leave_mark(struct access *a)
{
	struct igb igb = {};
	int ret = igb_open(&igb, a);

	if (ret)
		return ret;
	igb_set_mark(&igb, IGB_MARK);
	ret = igb_mark(&igb) == IGB_MARK ? 0 : -EIO;
	igb_close(&igb);
	return ret;
}

int igb_find_mark(struct access *a)
{
	struct igb igb = {};
	int ret = igb_open(&igb, a);

	if (ret)
		return ret;
	ret = igb_mark(&igb) == IGB_MARK ? 0 : -ENODATA;
	igb_close(&igb);
	return ret;
}
