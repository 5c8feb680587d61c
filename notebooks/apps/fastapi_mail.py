"""A shop, in FastAPI: it sends an order's confirmation by mail while the customer waits.

JOBQUEUE_DATABASE=sqlite:///shop.db MAIL_SERVER=127.0.0.1:2525 uvicorn --port 8000 fastapi_mail:app
"""

import os
from contextlib import asynccontextmanager
from email.message import EmailMessage
from smtplib import SMTP

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine(os.environ["JOBQUEUE_DATABASE"])


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    confirmed: Mapped[bool] = mapped_column(default=False)


Base.metadata.create_all(engine)


@asynccontextmanager
async def four_slots(app):
    # The threads that run the endpoints. The default is 40.
    current_default_thread_limiter().total_tokens = 4
    yield


app = FastAPI(lifespan=four_slots)


def confirm(order_id):
    with Session(engine) as session:
        customer = session.get_one(Order, order_id).customer
    mail = EmailMessage()
    mail["From"], mail["To"] = "shop@example.org", f"{customer}@example.org"
    mail["Subject"] = f"Your order {order_id}"
    with SMTP(*os.environ["MAIL_SERVER"].split(":")) as server:
        server.send_message(mail)
    with Session(engine) as session, session.begin():
        session.get_one(Order, order_id).confirmed = True


class NewOrder(BaseModel):
    customer: str


@app.get("/")
def index():
    return {"prints": ["10 x 15 cm", "20 x 30 cm"]}


@app.post("/orders", status_code=201)
def create(new: NewOrder):
    with Session(engine, expire_on_commit=False) as session:
        session.add(order := Order(customer=new.customer))
        session.commit()
    confirm(order.id)
    return {"id": order.id}


@app.get("/orders/{id}")
def show(id: int):
    with Session(engine) as session:
        return {"done": session.get_one(Order, id).confirmed}
